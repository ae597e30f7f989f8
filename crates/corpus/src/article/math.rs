//! Formulas: TeX where the article has it, MathML in a line otherwise.

use roxmltree::Node;

use super::inline;
use crate::xml::{self, DEEPEST, name};

/// Appends the formula in or under `node`.
pub(super) fn push(node: Node<'_, '_>, text: &mut String, depth: usize) {
    let find = |wanted: &str| node.descendants().find(|part| name(*part) == wanted);
    if let Some(tex) = find("tex-math") {
        text.push_str(tex_of(&xml::words(tex)));
    } else if let Some(math) = find("math") {
        push_mathml(math, text, depth);
    } else {
        inline::push_children(node, text, depth);
    }
}

/// The formula of a whole LaTeX document, as publishers wrap it.
fn tex_of(document: &str) -> &str {
    let (begin, end) = ("\\begin{document}", "\\end{document}");
    let from = document.find(begin).map_or(0, |at| at + begin.len());
    let inner = &document[from..];
    inner[..inner.find(end).unwrap_or(inner.len())].trim()
}

fn push_mathml(node: Node<'_, '_>, text: &mut String, depth: usize) {
    if depth > DEEPEST {
        text.push_str(&xml::words(node));
        return;
    }
    let parts: Vec<Node<'_, '_>> = node.children().filter(Node::is_element).collect();
    let joined = |parts: &[Node<'_, '_>], marks: &[&str], text: &mut String| {
        for (at, part) in parts.iter().enumerate() {
            text.push_str(marks.get(at).copied().unwrap_or_default());
            push_mathml(*part, text, depth + 1);
        }
        text.push_str(marks.get(parts.len()).copied().unwrap_or_default());
    };
    match (name(node), parts.as_slice()) {
        ("annotation" | "annotation-xml", _) => {}
        ("mfrac", [_, _]) => joined(&parts, &["(", ")/(", ")"], text),
        ("msup", [_, _]) => joined(&parts, &["", "^"], text),
        ("msub", [_, _]) => joined(&parts, &["", "_"], text),
        ("msubsup", [_, _, _]) => joined(&parts, &["", "_", "^"], text),
        ("msqrt", _) => {
            text.push_str("sqrt(");
            joined(&parts, &[], text);
            text.push(')');
        }
        (_, []) => text.push_str(node.text().unwrap_or_default().trim()),
        _ => joined(&parts, &[], text),
    }
}
