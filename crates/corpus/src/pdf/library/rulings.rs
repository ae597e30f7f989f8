//! The lines that a page draws: what tables are ruled with.

use unpdf::parser::backend::{
    ContentOp, PageBox, PageId, PaintedXObject, PdfBackend, ResourceScope, get_number_from_value,
};

use super::Ruling;

/// Rectangles not thicker than this are lines, in points.
const THIN: f32 = 2.5;
/// Lines shorter than this are parts of glyphs and drawings, in points.
const SHORTEST: f32 = 8.0;
/// A page with more is a drawing.
const MOST: usize = 20_000;
const DEEPEST_FORM: u8 = 4;

type Matrix = [f32; 6];

/// Horizontal and vertical lines that are stroked or filled, in the page's own frame.
pub(super) fn of_page(
    backend: &dyn PdfBackend,
    page: PageId,
    operations: &[ContentOp],
    frame: &PageBox,
) -> Vec<Ruling> {
    let mut painter = Painter { backend, page, frame, found: Vec::new() };
    painter.paint(operations, [1.0, 0.0, 0.0, 1.0, 0.0, 0.0], ResourceScope::page(page), 0);
    painter.found
}

struct Painter<'a> {
    backend: &'a dyn PdfBackend,
    page: PageId,
    frame: &'a PageBox,
    found: Vec<Ruling>,
}

impl Painter<'_> {
    fn paint(&mut self, operations: &[ContentOp], start: Matrix, scope: ResourceScope, depth: u8) {
        let mut matrix = start;
        let mut saved = Vec::new();
        let mut path: Vec<[(f32, f32); 2]> = Vec::new();
        let (mut at, mut begin) = ((0.0, 0.0), (0.0, 0.0));
        for operation in operations {
            let numbers: Vec<f32> = operation.operands.iter().filter_map(get_number_from_value).collect();
            match (operation.operator.as_str(), numbers.as_slice()) {
                ("q", _) => saved.push(matrix),
                ("Q", _) => matrix = saved.pop().unwrap_or(start),
                ("cm", &[a, b, c, d, e, f]) => matrix = multiply([a, b, c, d, e, f], matrix),
                ("m", &[x, y]) => (at, begin) = (apply(matrix, x, y), apply(matrix, x, y)),
                ("l", &[x, y]) => {
                    let to = apply(matrix, x, y);
                    path.push([at, to]);
                    at = to;
                }
                ("h", _) => path.push([at, begin]),
                ("re", &[x, y, w, h]) => {
                    let (p, q) = (apply(matrix, x, y), apply(matrix, x + w, y + h));
                    let (width, height) = ((p.0 - q.0).abs(), (p.1 - q.1).abs());
                    if height <= THIN {
                        let middle = (p.1 + q.1) / 2.0;
                        path.push([(p.0, middle), (q.0, middle)]);
                    } else if width <= THIN {
                        let middle = (p.0 + q.0) / 2.0;
                        path.push([(middle, p.1), (middle, q.1)]);
                    } else {
                        path.push([p, (q.0, p.1)]);
                        path.push([(p.0, q.1), q]);
                        path.push([p, (p.0, q.1)]);
                        path.push([(q.0, p.1), q]);
                    }
                }
                ("c" | "v" | "y", &[.., x, y]) => at = apply(matrix, x, y),
                ("S" | "s" | "f" | "F" | "f*" | "B" | "B*" | "b" | "b*", _) => self.keep(&mut path),
                ("n", _) => path.clear(),
                ("Do", _) if depth < DEEPEST_FORM => {
                    if let Some(unpdf::parser::backend::PdfValue::Name(name)) = operation.operands.first()
                        && let Some(PaintedXObject::Form(form)) = self.backend.xobject(scope, name)
                        && let Some(content) = form.content
                        && let Ok(inner) = self.backend.decode_content(&content)
                    {
                        let matrix = multiply(form.matrix, matrix);
                        let scope = ResourceScope::form(self.page, form.id);
                        self.paint(&inner, matrix, scope, depth + 1);
                    }
                }
                _ => {}
            }
        }
    }

    fn keep(&mut self, path: &mut Vec<[(f32, f32); 2]>) {
        for [(ax, ay), (bx, by)] in path.drain(..) {
            if self.found.len() >= MOST || ![ax, ay, bx, by].into_iter().all(f32::is_finite) {
                continue;
            }
            let (x0, x1) = (ax.min(bx) - self.frame.llx, ax.max(bx) - self.frame.llx);
            let (y0, y1) = (self.frame.ury - ay.max(by), self.frame.ury - ay.min(by));
            if y1 - y0 <= 0.6 && x1 - x0 >= SHORTEST {
                self.found.push(Ruling::Horizontal { y: (y0 + y1) / 2.0, x0, x1 });
            } else if x1 - x0 <= 0.6 && y1 - y0 >= SHORTEST {
                self.found.push(Ruling::Vertical { x: (x0 + x1) / 2.0, y0, y1 });
            }
        }
    }
}

fn multiply(a: Matrix, b: Matrix) -> Matrix {
    [
        a[0] * b[0] + a[1] * b[2],
        a[0] * b[1] + a[1] * b[3],
        a[2] * b[0] + a[3] * b[2],
        a[2] * b[1] + a[3] * b[3],
        a[4] * b[0] + a[5] * b[2] + b[4],
        a[4] * b[1] + a[5] * b[3] + b[5],
    ]
}

fn apply(m: Matrix, x: f32, y: f32) -> (f32, f32) {
    (m[0] * x + m[2] * y + m[4], m[1] * x + m[3] * y + m[5])
}
