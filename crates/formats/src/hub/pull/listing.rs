//! What the Hub says about a repository and its files.

use serde::Deserialize;
use ureq::Body;
use ureq::http::{HeaderMap, Response};

use super::client::{Client, Method, header};
use super::hash::Hash;
use super::{PullError, Result, Wanted, is_safe_path};

/// The files of a revision.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) commit: String,
    /// Sorted; each stays inside the folder that it is joined to.
    pub(super) paths: Vec<String>,
}

#[derive(Deserialize)]
struct Revision {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

/// The commit that a revision names and the files in it.
pub(super) fn list(client: &Client, wanted: &Wanted) -> Result<Listing> {
    let url = client.revision_url(&wanted.repository, &wanted.revision)?;
    let response =
        accepted(client, wanted, "such repository or revision", client.send(Method::Get { from: 0 }, &url)?)?;
    let revision: Revision = client.document(response)?;
    if revision.sha.len() != 40 || !revision.sha.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(client.answer(&url, "the revision's commit is no commit"));
    }
    let mut paths: Vec<String> = revision.siblings.into_iter().map(|file| file.rfilename).collect();
    if let Some(name) = paths.iter().find(|path| !is_safe_path(path)) {
        return Err(PullError::UnsafeName { repository: wanted.repository.clone(), name: name.clone() });
    }
    paths.sort();
    paths.dedup();
    Ok(Listing { commit: revision.sha, paths })
}

/// The hash and the length of a file.
pub(super) fn look_up(client: &Client, wanted: &Wanted, commit: &str, path: &str) -> Result<(Hash, u64)> {
    let url = client.file_url(&wanted.repository, commit, path)?;
    let response = client.send(Method::Head, &url)?;
    let redirected = response.status().is_redirection();
    let response =
        if redirected { response } else { accepted(client, wanted, &format!("file {path}"), response)? };
    let headers = response.headers();
    let own = |name| header(headers, name).filter(|_| !redirected);
    let etag = header(headers, "x-linked-etag").or_else(|| own("etag")).unwrap_or_default();
    let hash = Hash::from_etag(etag).ok_or_else(|| {
        client.answer(&url, format!("names no hash for {path}, so it could not be checked"))
    })?;
    let length = header(headers, "x-linked-size").or_else(|| own("content-length"));
    let bytes = length
        .and_then(|length| length.parse().ok())
        .ok_or_else(|| client.answer(&url, format!("does not say how long {path} is")))?;
    Ok((hash, bytes))
}

/// The answer, if it is one that brings what was asked for.
pub(super) fn accepted(
    client: &Client,
    wanted: &Wanted,
    what: &str,
    response: Response<Body>,
) -> Result<Response<Body>> {
    let (repository, token) = (wanted.repository.clone(), client.has_token());
    let code = error_code(response.headers());
    let gone = |what: &str| PullError::NotFound {
        what: what.to_owned(),
        repository: repository.clone(),
        revision: wanted.revision.clone(),
        host: client.host(),
    };
    match response.status().as_u16() {
        200..=299 => Ok(response),
        401 | 403 if code == "GatedRepo" => {
            Err(PullError::Gated { page: client.page(&repository), repository, token })
        }
        401 | 403 => Err(PullError::Refused { repository, host: client.host(), token }),
        404 if code == "RevisionNotFound" => Err(gone("such revision")),
        404 => Err(gone(what)),
        status => Err(PullError::Status { host: client.host(), status }),
    }
}

/// The Hub's own name of an error.
fn error_code(headers: &HeaderMap) -> String {
    header(headers, "x-error-code").unwrap_or_default().to_owned()
}
