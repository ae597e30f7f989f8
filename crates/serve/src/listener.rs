//! Connections: how many, for how long, and how they end.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::Error;
use crate::app::App;
use crate::patience::Patient;
use crate::settings::Limits;

/// Headers of a request; beyond these, and beyond [`BUFFER`] bytes, it is refused with 431.
const HEADERS: usize = 64;
/// Bytes of a request's header, and of a response that hyper keeps before it asks for more.
const BUFFER: usize = 32 << 10;
/// Connections that the system keeps for us.
const BACKLOG: u32 = 1024;

/// Listens at `bind`.
pub(crate) fn listen(bind: SocketAddr, limits: &Limits) -> Result<TcpListener, Error> {
    let open = || {
        let socket = if bind.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        // Connections have the listener's buffer: what a client does not read stays small.
        socket.set_send_buffer_size(limits.send_buffer)?;
        socket.bind(bind)?;
        socket.listen(BACKLOG)
    };
    open().map_err(|source| Error::Bind { bind, source })
}

/// Takes connections until `leave` says true, then waits until all have ended.
pub(crate) async fn accept(
    listener: TcpListener,
    router: Router,
    app: App,
    mut leave: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(app.settings.limits.connections));
    loop {
        let next = async {
            // The semaphore is never closed.
            let place = Arc::clone(&room).acquire_owned().await.ok();
            (place, listener.accept().await)
        };
        let Some((place, accepted)) = unless(&mut leave, next).await else { break };
        match accepted {
            Ok((stream, _)) => {
                tokio::spawn(serve(stream, place, router.clone(), app.clone(), leave.clone()));
            }
            // No file descriptors, most likely: they come back when a connection ends.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    drop(listener);
    let all = app.settings.limits.connections as u32;
    let _ = room.acquire_many(all).await;
}

/// What `work` gives, or nothing once `leave` says true.
async fn unless<T>(leave: &mut watch::Receiver<bool>, work: impl Future<Output = T>) -> Option<T> {
    let leaving = leave.wait_for(|leave| *leave);
    let (mut leaving, mut work) = (pin!(leaving), pin!(work));
    poll_fn(|cx| match leaving.as_mut().poll(cx) {
        Poll::Ready(_) => Poll::Ready(None),
        Poll::Pending => work.as_mut().poll(cx).map(Some),
    })
    .await
}

async fn serve(
    stream: TcpStream,
    place: Option<OwnedSemaphorePermit>,
    router: Router,
    app: App,
    mut leave: watch::Receiver<bool>,
) {
    let limits = &app.settings.limits;
    let metrics = &app.status.metrics;
    metrics.connections.fetch_add(1, Ordering::Relaxed);
    // Every token is a small packet of its own.
    let _ = stream.set_nodelay(true);
    let stream = TokioIo::new(Patient::new(stream, limits.write));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_headers(HEADERS)
        .max_buf_size(BUFFER)
        .serve_connection(stream, TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    // How a connection ends is its client's business.
    if unless(&mut leave, connection.as_mut()).await.is_none() {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
    metrics.connections.fetch_sub(1, Ordering::Relaxed);
    drop(place);
}
