//! How often a page paints forms. A form may paint others: where each paints the next one twice, a few kilobytes ask for
//! billions, and the parser follows every one of them.

use std::collections::HashMap;
use std::rc::Rc;

use unpdf::parser::backend::{
    ContentOp, ObjectId, PageId, PaintedXObject, PdfBackend, PdfValue, ResourceScope,
};

/// Forms that a page may paint, each as often as it is painted: more than any map or drawing has.
pub(super) const MOST: usize = 100_000;
/// The parser paints no form inside so many others.
const DEEPEST: usize = 32;

/// Whether a page of these operations paints more than [`MOST`].
pub(super) fn too_many(backend: &dyn PdfBackend, page: PageId, operations: &[ContentOp]) -> bool {
    let (contents, painted) = (HashMap::new(), HashMap::new());
    let mut count = Count { backend, page, contents, painted, path: Vec::new(), left: MOST };
    let forms = count.painted_by(operations, ResourceScope::page(page));
    count.paint(&forms).is_none()
}

struct Count<'a> {
    backend: &'a dyn PdfBackend,
    page: PageId,
    /// Of forms that were named and not yet looked into.
    contents: HashMap<ObjectId, Vec<u8>>,
    /// What each form paints, in order.
    painted: HashMap<ObjectId, Rc<[ObjectId]>>,
    /// The forms around this one; the parser paints none inside itself.
    path: Vec<ObjectId>,
    left: usize,
}

impl Count<'_> {
    /// Nothing where there are too many.
    fn paint(&mut self, forms: &[ObjectId]) -> Option<()> {
        if self.path.len() >= DEEPEST {
            return Some(());
        }
        for &form in forms {
            if self.path.contains(&form) {
                continue;
            }
            self.left = self.left.checked_sub(1)?;
            let inner = self.inside(form);
            self.path.push(form);
            self.paint(&inner)?;
            self.path.pop();
        }
        Some(())
    }

    fn inside(&mut self, form: ObjectId) -> Rc<[ObjectId]> {
        if let Some(known) = self.painted.get(&form) {
            return Rc::clone(known);
        }
        let content = self.contents.remove(&form).unwrap_or_default();
        let operations = self.backend.decode_content(&content).unwrap_or_default();
        let painted = self.painted_by(&operations, ResourceScope::form(self.page, form));
        self.painted.insert(form, Rc::clone(&painted));
        painted
    }

    fn painted_by(&mut self, operations: &[ContentOp], scope: ResourceScope) -> Rc<[ObjectId]> {
        let mut named: HashMap<&[u8], Option<ObjectId>> = HashMap::new();
        let names =
            operations.iter().filter(|operation| operation.operator == "Do").filter_map(|operation| {
                match operation.operands.first() {
                    Some(PdfValue::Name(name)) => Some(name.as_slice()),
                    _ => None,
                }
            });
        names.filter_map(|name| *named.entry(name).or_insert_with(|| self.form(name, scope))).collect()
    }

    /// The form of that name, if it is one.
    fn form(&mut self, name: &[u8], scope: ResourceScope) -> Option<ObjectId> {
        let PaintedXObject::Form(form) = self.backend.xobject(scope, name)? else { return None };
        if !self.painted.contains_key(&form.id) {
            self.contents.insert(form.id, form.content.unwrap_or_default());
        }
        Some(form.id)
    }
}
