//! What pages are made of before it becomes the document's blocks.

use super::list::{self, Marker};
use super::paragraph::{self, Paragraph};
use super::table::Table;
use crate::hyphen::Vocabulary;
use crate::{Block, Kind, Place};

/// A part of the document in reading order.
#[derive(Debug, Clone)]
pub(super) enum Element {
    Text(Paragraph, Role),
    Table(Table),
}

/// What a paragraph is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Body,
    Heading(u8),
    Item(u8),
    Caption,
    Footnote,
    Furniture,
}

impl Element {
    /// The paragraph, if it is one that nothing else is known of yet.
    pub(super) fn body(&self) -> Option<&Paragraph> {
        match self {
            Self::Text(paragraph, Role::Body) => Some(paragraph),
            _ => None,
        }
    }

    pub(super) fn page(&self) -> u32 {
        match self {
            Self::Text(paragraph, _) => paragraph.lines[0].page,
            Self::Table(table) => table.page,
        }
    }

    pub(super) fn into_block(self, vocabulary: &Vocabulary) -> Block {
        match self {
            Self::Table(table) => Block {
                kind: Kind::Table,
                text: table.to_pipes(),
                places: vec![Place { page: table.page, area: Some(table.area) }],
            },
            Self::Text(paragraph, role) => {
                let mut text = paragraph.text(vocabulary);
                let kind = match role {
                    Role::Body => Kind::Paragraph,
                    Role::Heading(level) => Kind::Heading { level },
                    Role::Caption => Kind::Caption,
                    Role::Footnote => Kind::Footnote,
                    Role::Furniture => Kind::RunningHead,
                    Role::Item(depth) => {
                        if let Some(Marker::Bullet(length)) = list::marker(&text) {
                            text.drain(..length);
                        }
                        Kind::ListItem { depth }
                    }
                };
                Block { kind, text, places: paragraph::places(&paragraph.lines) }
            }
        }
    }
}
