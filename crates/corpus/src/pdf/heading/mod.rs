//! Headings and their levels, from the outline where the file has a good one, otherwise from how they are set.

mod level;
mod outline;
mod run_in;
mod typography;

use super::element::{Element, Role};
use super::library::{Bookmark, Style};
use super::paragraph::Paragraph;
use crate::hyphen::Vocabulary;

/// What headings are told from.
pub(super) struct Context<'a> {
    /// The style of running text.
    pub(super) body: Style,
    /// Usual distance of baselines in ems.
    pub(super) leading: f32,
    pub(super) vocabulary: &'a Vocabulary,
}

/// Marks the headings among `elements`; a heading that opens a paragraph is split off it.
pub(super) fn mark(elements: &mut Vec<Element>, bookmarks: &[Bookmark], context: &Context<'_>) {
    let title = title(elements, context);
    if let Some(index) = title
        && let Element::Text(_, role) = &mut elements[index]
    {
        *role = Role::Heading(1);
    }
    if outline::mark(elements, bookmarks, context) {
        return;
    }
    let found = typography::find(elements, title, context);
    level::assign(elements, found, title.is_some());
}

/// The largest text of the first page, if it is clearly larger than running text. Its parts are put together.
fn title(elements: &mut Vec<Element>, context: &Context<'_>) -> Option<usize> {
    let first = elements.iter().map(Element::page).min()?;
    let candidate = |element: &Element| {
        let paragraph = element.body().filter(|p| p.lines[0].page <= first + 1)?;
        let text = paragraph.text(context.vocabulary);
        let words = text.split_whitespace().filter(|w| w.chars().any(char::is_alphabetic)).count();
        let size = paragraph.style().size();
        (size >= 1.2 * context.body.size() && words >= 3 && text.chars().count() <= 400)
            .then_some((paragraph.lines[0].page, size))
    };
    let mut best: Option<(usize, u32, f32)> = None;
    for (index, element) in elements.iter().enumerate() {
        if let Some((page, size)) = candidate(element)
            && best.is_none_or(|(_, p, s)| page < p || page == p && size > s + 0.3)
        {
            best = Some((index, page, size));
        }
    }
    let (index, page, size) = best?;
    while let Some(next) = elements.get(index + 1).and_then(Element::body) {
        let near = next.room.is_infinite() || next.room < 2.2;
        if (next.style().size() - size).abs() > 0.3 || next.lines[0].page != page || !near {
            break;
        }
        let Element::Text(rest, _) = elements.remove(index + 1) else { break };
        if let Element::Text(whole, _) = &mut elements[index] {
            whole.lines.extend(rest.lines);
        }
    }
    Some(index)
}

/// Letters and digits alone, in lower case: what two spellings of one title have in common.
pub(super) fn key(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Splits the first `letters` letters and digits off a paragraph. Nothing where no run ends there.
pub(super) fn split_off(paragraph: &Paragraph, letters: usize) -> Option<(Paragraph, Paragraph)> {
    let mut left = letters;
    let (mut head, mut tail) = (paragraph.clone(), paragraph.clone());
    (head.lines, tail.lines) = (Vec::new(), Vec::new());
    for line in &paragraph.lines {
        let (mut before, mut after) = (line.clone(), line.clone());
        (before.runs, after.runs) = (Vec::new(), Vec::new());
        for run in &line.runs {
            let count = run.text.chars().filter(|c| c.is_alphanumeric()).count();
            // Signs after the last letter (a colon, a full stop) still belong to the heading.
            let trailing = left == 0
                && count == 0
                && after.runs.is_empty()
                && tail.lines.is_empty()
                && run.text.trim_start().starts_with([':', '.']);
            if left > 0 && count <= left || trailing {
                left -= count;
                before.runs.push(run.clone());
            } else if left > 0 {
                // The end lies within this run: only where a colon or full stop marks it.
                let end = nth_letter_end(&run.text, left);
                let (a, b) = run.text.split_at(end);
                let sign = b.chars().next().filter(|c| ".:".contains(*c))?;
                let (a, b) = (format!("{a}{sign}"), b[sign.len_utf8()..].to_owned());
                left = 0;
                before.runs.push(super::line::Run { text: a, style: run.style });
                after.runs.push(super::line::Run { text: b, style: run.style });
            } else {
                after.runs.push(run.clone());
            }
        }
        let share = before.text().chars().count() as f32 / line.text().chars().count().max(1) as f32;
        let cut = line.area.x0 + share * (line.area.x1 - line.area.x0);
        if !before.runs.is_empty() {
            if !after.runs.is_empty() {
                before.area.x1 = cut;
            }
            head.lines.push(before);
        }
        if !after.runs.is_empty() {
            if after.runs.len() < line.runs.len() {
                after.area.x0 = cut;
            }
            tail.lines.push(after);
        }
    }
    let whole = left == 0 && !head.lines.is_empty() && !tail.lines.is_empty();
    for line in head.lines.iter_mut().chain(&mut tail.lines) {
        line.style = super::line::dominant(&line.runs, line.style);
    }
    whole.then_some((head, tail))
}

fn nth_letter_end(text: &str, letters: usize) -> usize {
    text.char_indices()
        .filter(|(_, c)| c.is_alphanumeric())
        .nth(letters - 1)
        .map_or(text.len(), |(at, c)| at + c.len_utf8())
}

/// Titles of sections that stand at the top of a paper's hierarchy.
const TOP: [&str; 60] = [
    "abstract",
    "summary",
    "introduction",
    "background",
    "methods",
    "method",
    "materialsandmethods",
    "methodsdesign",
    "methodology",
    "patientsandmethods",
    "materialandmethods",
    "results",
    "resultsanddiscussion",
    "discussion",
    "conclusion",
    "conclusions",
    "references",
    "bibliography",
    "literaturecited",
    "acknowledgements",
    "acknowledgments",
    "acknowledgement",
    "competinginterests",
    "conflictofinterest",
    "conflictsofinterest",
    "conflictofinterests",
    "authorscontributions",
    "authorcontributions",
    "funding",
    "abbreviations",
    "supportinginformation",
    "supplementarymaterial",
    "keywords",
    "appendix",
    "contents",
    "limitations",
    "trialstatus",
    "authordetails",
    "authorsinformation",
    "experimentalsection",
    "ethicalstandards",
    "zusammenfassung",
    "einleitung",
    "hintergrund",
    "methoden",
    "methodik",
    "ergebnisse",
    "diskussion",
    "schlussfolgerung",
    "fazit",
    "literatur",
    "literaturverzeichnis",
    "danksagung",
    "interessenkonflikt",
    "material",
    "inhalt",
    "inhaltsverzeichnis",
    "relatedwork",
    "casereport",
    "casepresentation",
];

/// Whether this is the title of a section that papers have at the top level, numbered or not.
pub(super) fn is_top(text: &str) -> bool {
    let bare = text.trim_start_matches(|c: char| c.is_ascii_digit() || ". ".contains(c));
    TOP.contains(&key(bare).as_str())
}
