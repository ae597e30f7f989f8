//! Blocks as Markdown.

use std::ops::Range;

use crate::{Block, Kind};

/// The text of a document as CommonMark with pipe tables, one empty line between blocks, none between list items.
pub fn to_markdown(blocks: &[Block]) -> String {
    with_ranges(blocks).0
}

/// The same, and the bytes of it that each block is.
pub(crate) fn with_ranges(blocks: &[Block]) -> (String, Vec<Range<usize>>) {
    let mut text = String::new();
    let mut ranges = Vec::with_capacity(blocks.len());
    for (index, block) in blocks.iter().enumerate() {
        let list = |block: &Block| matches!(block.kind, Kind::ListItem { .. });
        if index > 0 {
            text.push_str(if list(block) && list(&blocks[index - 1]) { "\n" } else { "\n\n" });
        }
        let start = text.len();
        match block.kind {
            Kind::Heading { level } => {
                text.extend(std::iter::repeat_n('#', level.clamp(1, 6).into()));
                text.push(' ');
                text.push_str(&block.text);
            }
            Kind::ListItem { depth } => {
                text.extend(std::iter::repeat_n("  ", depth.into()));
                text.push_str("- ");
                text.push_str(&block.text);
            }
            Kind::Code => {
                text.push_str("```\n");
                text.push_str(&block.text);
                text.push_str("\n```");
            }
            Kind::Paragraph
            | Kind::Table
            | Kind::Caption
            | Kind::Formula
            | Kind::Footnote
            | Kind::RunningHead => text.push_str(&block.text),
        }
        ranges.push(start..text.len());
    }
    if !text.is_empty() {
        text.push('\n');
    }
    (text, ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_lists_and_paragraphs_are_set_apart_as_markdown_wants() {
        let block = |kind, text: &str| Block { kind, text: text.into(), places: Vec::new() };
        let blocks = [
            block(Kind::Heading { level: 2 }, "Pericarditis"),
            block(Kind::Paragraph, "Three signs:"),
            block(Kind::ListItem { depth: 0 }, "chest pain"),
            block(Kind::ListItem { depth: 1 }, "worse when lying"),
            block(Kind::Paragraph, "It passes."),
        ];
        let expected =
            "## Pericarditis\n\nThree signs:\n\n- chest pain\n  - worse when lying\n\nIt passes.\n";
        assert_eq!(to_markdown(&blocks), expected);
    }
}
