//! What is found and cited.

use corpus::{Chunk, Place, StoredDocument};
use serde::Serialize;

/// A piece of text with its source.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Passage {
    /// Its name, which no other passage of the index has.
    pub name: String,
    /// The document that it is from, as people know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// Title and headings over it; may be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// The text.
    pub text: String,
    /// Where it stands in the document; empty where the document has no pages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<Place>,
}

/// What stands between headings.
const BETWEEN: &str = " › ";

impl Passage {
    /// A chunk of `document`, which people know by `name`.
    pub fn of_chunk(chunk: Chunk, document: &StoredDocument, name: &str) -> Self {
        Passage {
            places: chunk.places(&document.blocks),
            name: chunk.id,
            document: Some(name.to_owned()),
            title: chunk.headings.join(BETWEEN),
            text: chunk.text,
        }
    }

    /// The pages that it stands on, ascending.
    pub fn pages(&self) -> Vec<u32> {
        let mut pages: Vec<u32> = self.places.iter().map(|place| place.page).collect();
        pages.sort_unstable();
        pages.dedup();
        pages
    }

    /// Title and text, as encoders read them.
    pub fn whole(&self) -> String {
        match self.title.is_empty() {
            true => self.text.clone(),
            false => format!("{}\n{}", self.title, self.text),
        }
    }

    /// Where it is from, on one line: `guideline.pdf, page 3: Treatment`.
    pub fn source(&self) -> String {
        let mut source = self.document.clone().unwrap_or_else(|| self.name.clone());
        let pages: Vec<String> = self.pages().iter().map(u32::to_string).collect();
        match pages.as_slice() {
            [] => {}
            [page] => source += &format!(", page {page}"),
            pages => source += &format!(", pages {}", pages.join(", ")),
        }
        match self.title.is_empty() {
            true => source,
            false => source + ": " + &self.title,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_names_document_pages_and_headings() {
        let place = |page| Place { page, area: None };
        let passage = Passage {
            name: "1f2e-0007".into(),
            document: Some("asthma.pdf".into()),
            title: "Treatment › Children".into(),
            text: "Salbutamol.".into(),
            places: vec![place(4), place(3), place(4)],
        };
        assert_eq!(passage.source(), "asthma.pdf, pages 3, 4: Treatment › Children");
        let bare = Passage { name: "p1".into(), text: "Rest.".into(), ..Passage::default() };
        assert_eq!((bare.source().as_str(), bare.whole().as_str()), ("p1", "Rest."));
    }
}
