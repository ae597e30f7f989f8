//! What a negation or a warning reaches.

use super::{Mark, Token};

/// Words that a negated order reaches ("do not give …").
const ORDER_REACH: usize = 12;
/// Words that any other negation reaches.
const REACH: usize = 7;
/// Words that a warning reaches.
const WARNING_REACH: usize = 14;

/// Words that end what is negated.
const CLOSING: &[&str] = &[
    "but", "because", "until", "unless", "if", "when", "while", "so", "instead", "then", "however", "since",
    "before", "after", "which", "who", "whose", "although", "though", "except", "just",
];

/// Verbs with which a new order begins behind a comma, an "and", or a statement that is negated.
const ORDERS: &[&str] = &[
    "call", "dial", "phone", "ring", "go", "get", "seek", "see", "take", "give", "have", "contact", "ask",
    "tell", "keep", "use", "put", "lie", "sit", "stay", "press", "rinse", "cool", "apply", "start", "stop",
    "check", "treat", "please", "rest", "talk", "speak", "visit", "book", "wash", "cover", "head", "drive",
    "bring", "do", "let", "try", "make", "drink", "remove", "place", "follow", "consult", "arrange", "leave",
    "wait", "watch", "push", "hold",
];

/// Words that begin a statement of its own behind a comma.
const SUBJECTS: &[&str] = &[
    "it", "this", "that", "you", "they", "he", "she", "we", "i", "the", "and", "there", "these", "those",
    "your", "as", "even", "such", "with", "not", "never", "no", "yes", "both", "what", "most",
];

/// What one says not to do when it must be done: "do not wait to call" says to call.
const DELAY: &[&str] = &[
    "wait",
    "delai",
    "hesit",
    "ignor",
    "postpon",
    "dismiss",
    "afraid",
    "embarrass",
    "shy",
    "forget",
    "underestim",
    "wast",
    "asham",
    "scare",
    "worri",
    "panic",
];

/// Verbs that put something off with one of these words: "do not put it off", "do not lose time".
const DELAY_WITH: &[(&str, &str)] = &[("put", "off"), ("hold", "off"), ("hold", "back"), ("lose", "time")];

/// Words before a verb that are no subject to deny: "you should not give aspirin" denies the giving, not "you".
const PERSONS: &[&str] =
    &["you", "he", "she", "they", "we", "i", "it", "and", "please", "but", "so", "who", "this"];

/// Verbs whose "against" advises.
const ADVISING: &[&str] = &["advise", "advised", "advice", "recommend", "decide", "warn", "warned"];

/// Words of harm.
const HARM: &[&str] = &[
    "danger", "harm", "unsaf", "fatal", "deadli", "myth", "riski", "risk", "wrong", "mistak", "worsen",
    "poison", "toxic", "outdat", "kill", "damag",
];

/// What cannot be negated.
const NOT_NEGATIONS: &[[&str; 2]] = &[
    ["not", "only"],
    ["not", "alon"],
    ["not", "sure"],
    ["not", "uncommon"],
    ["not", "unusu"],
    ["no", "doubt"],
    ["no", "matter"],
    ["no", "later"],
    ["no", "longer"],
    ["without", "delai"],
    ["without", "wait"],
    ["without", "hesit"],
    ["or", "not"],
    ["if", "not"],
];

/// Marks the words of a sentence that are denied or warned of.
pub(super) fn mark(tokens: &mut [Token]) {
    for at in 0..tokens.len() {
        if let Some(reach) = negation(tokens, at) {
            let end = forward(tokens, at, reach);
            deny(&mut tokens[at + 1..end], at);
        }
        if denies_its_subject(tokens, at) {
            let start = backward(tokens, at);
            deny(&mut tokens[start..at], at);
        }
    }
    for at in 0..tokens.len() {
        if warns(tokens, at) {
            let start = warned_from(tokens, at);
            tokens[start..at].iter_mut().for_each(|token| token.warned = true);
            if tokens.get(at + 1).is_some_and(|next| next.word == "to") {
                let end = (at + 1 + WARNING_REACH).min(tokens.len());
                tokens[at + 1..end].iter_mut().for_each(|token| token.warned = true);
            }
        }
    }
}

/// The word that denies first counts: in "do not stop taking it" that is "not".
fn deny(tokens: &mut [Token], by: usize) {
    tokens.iter_mut().for_each(|token| token.denied_by = token.denied_by.or(Some(by)));
}

/// Whether a sentence breaks off within a negation, as "do not:" and the heading "What not to do" do.
pub(super) fn ends_in_negation(tokens: &[Token]) -> bool {
    let last: Vec<&str> = tokens.iter().rev().take(3).map(|token| token.word.as_str()).collect();
    match last[..] {
        ["do", "to", "not"] | ["do", "not", ..] => true,
        [last, ..] => {
            matches!(last, "not" | "never" | "avoid" | "without" | "avoided" | "don'ts" | "against")
        }
        [] => false,
    }
}

/// How far a negation reaches that stands at `at`, if one does.
fn negation(tokens: &[Token], at: usize) -> Option<usize> {
    let word = tokens[at].word.as_str();
    let before = at.checked_sub(1).map_or("", |before| tokens[before].word.as_str());
    let after = tokens.get(at + 1).map_or("", |after| after.word.as_str());
    let reach = match word {
        "not" if before == "do" => order_reach(tokens, at - 1),
        "not" if matches!(before, "should" | "must" | "please" | "to" | "and" | "") => ORDER_REACH,
        "nothing" if ORDERS.contains(&before) => REACH,
        "leave" | "hold" if matches!(after, "the" | "any") => 4,
        "never" | "avoid" | "avoiding" | "avoids" => ORDER_REACH,
        "not" | "no" | "without" | "nor" | "neither" | "none" | "nobody" | "unnecessary" | "unlikely" => {
            REACH
        }
        "than" if before == "rather" => REACH,
        "of" if before == "instead" => REACH,
        "stop" | "stopping" | "refrain" | "myth" => 5,
        "against" if ADVISING.contains(&before) => 5,
        _ => return None,
    };
    let pair = |pair: &[&str; 2]| {
        let next = tokens.get(at + 1).map_or("", |next| next.stem.as_str());
        (pair[0] == word && pair[1] == next) || (pair[0] == before && pair[1] == word)
    };
    // "No, call an ambulance" denies nothing of what follows.
    let answer =
        at == 0 && matches!(word, "no" | "never") && tokens.get(1).is_none_or(|n| n.mark != Mark::None);
    let limit = matches!(word, "no" | "not")
        && after == "more"
        && tokens.get(at + 2).is_some_and(|next| next.word == "than");
    (!answer && !limit && !NOT_NEGATIONS.iter().any(pair)).then_some(reach)
}

/// How far "do not" reaches whose "do" stands at `at`: an order farther than a statement, "you do not need …", and a
/// relative clause, "spots that do not fade", least.
fn order_reach(tokens: &[Token], at: usize) -> usize {
    let before = at.checked_sub(1).map_or("", |before| tokens[before].word.as_str());
    match before {
        _ if tokens[at].mark != Mark::None => ORDER_REACH,
        "" | "and" | "please" | "but" | "so" | "then" | "just" | "now" | "also" | "or" => ORDER_REACH,
        "you" | "we" | "i" => REACH,
        _ => 3,
    }
}

/// The end of what the negation at `at` reaches.
fn forward(tokens: &[Token], at: usize, reach: usize) -> usize {
    let last = (at + 1 + reach).min(tokens.len());
    for next in at + 1..last {
        let token = &tokens[next];
        let first = next == at + 1;
        if token.mark == Mark::Strong && !first {
            return next;
        }
        if token.mark == Mark::Comma && !first && !goes_on(tokens, next) {
            return next;
        }
        let until = token.word == "until" && tokens[next - 1].word == "wait";
        if CLOSING.contains(&token.word.as_str()) && !until && !(first && token.word == "just") {
            return next;
        }
        if next <= at + 3 && doubly_negated(tokens, next) && !waits_for(tokens, next) {
            return next + 1;
        }
        let before = tokens[next - 1].word.as_str();
        let order = ORDERS.contains(&token.word.as_str());
        let new_order = match before {
            "and" => order,
            "to" | "or" | "need" | "not" | "never" | "just" => false,
            // "If she is not breathing call …": a statement is negated, an order follows.
            _ => order && reach < ORDER_REACH && next > at + 1,
        };
        if new_order {
            return next;
        }
    }
    last
}

/// "Do not wait for it to pass" denies that it passes, "do not wait to call" says to call.
fn waits_for(tokens: &[Token], at: usize) -> bool {
    let word = |at: usize| tokens.get(at).map_or("", |token| token.word.as_str());
    word(at) == "wait" && (matches!(word(at + 1), "for" | "until" | "till" | "and") || word(at + 2) == "see")
}

fn doubly_negated(tokens: &[Token], at: usize) -> bool {
    let stem = tokens[at].stem.as_str();
    let soon = &tokens[at + 1..(at + 4).min(tokens.len())];
    let puts_off =
        |(verb, with): &(&str, &str)| *verb == stem && soon.iter().any(|token| token.word == *with);
    DELAY.contains(&stem) || HARM.contains(&stem) || DELAY_WITH.iter().any(puts_off)
}

/// Whether a list goes on behind a comma: "do not give aspirin, ibuprofen or naproxen".
fn goes_on(tokens: &[Token], at: usize) -> bool {
    let word = tokens[at].word.as_str();
    if word == "or" || word == "nor" {
        return true;
    }
    if ORDERS.contains(&word) || SUBJECTS.contains(&word) || word.ends_with("ing") {
        return false;
    }
    let rest = &tokens[at..(at + ORDER_REACH).min(tokens.len())];
    rest.iter().any(|token| matches!(token.word.as_str(), "or" | "nor" | "and"))
}

/// Whether what stands before `at` is denied there: "ibuprofen should not", "antibiotics are unnecessary".
fn denies_its_subject(tokens: &[Token], at: usize) -> bool {
    let word = |at: usize| tokens.get(at).map_or("", |token| token.word.as_str());
    let stem = |at: usize| tokens.get(at).map_or("", |token| token.stem.as_str());
    match word(at) {
        "should" | "must" | "can" | "may" | "is" | "are" | "will" | "would" | "does" | "do" | "was"
            if at > 0 && word(at + 1) == "not" =>
        {
            let person = PERSONS.contains(&word(at - 1));
            let harm = (at + 2..at + 5).any(|next| HARM.contains(&stem(next)));
            let order = word(at) == "do" && !matches!(stem(at + 2), "help" | "work" | "cure" | "treat");
            let limited = matches!(word(at + 2), "only" | "just");
            !(person || harm || order || limited)
        }
        "should" | "must" | "is" | "are" | "be" | "best" => {
            matches!(
                word(at + 1),
                "unnecessary" | "contraindicated" | "forbidden" | "avoided" | "unlikely" | "useless"
            ) || (word(at + 1) == "be" && matches!(word(at + 2), "avoided" | "stopped"))
                || (word(at + 1) == "no" && matches!(stem(at + 2), "longer" | "good" | "us" | "help"))
        }
        _ => false,
    }
}

/// The beginning of the clause that ends at `at`.
fn backward(tokens: &[Token], at: usize) -> usize {
    let mut start = at;
    while start > 0 && at - start < REACH {
        if tokens[start].mark != Mark::None && start < at {
            break;
        }
        if CLOSING.contains(&tokens[start - 1].word.as_str()) {
            break;
        }
        start -= 1;
    }
    start
}

/// The beginning of what a word of harm at `at` speaks of, across brackets and commas: "induce vomiting (…), this is
/// dangerous" stays one sentence.
fn warned_from(tokens: &[Token], at: usize) -> usize {
    let from = at.saturating_sub(WARNING_REACH);
    (from..at).rev().find(|&i| CLOSING.contains(&tokens[i].word.as_str())).map_or(from, |closing| closing + 1)
}

fn warns(tokens: &[Token], at: usize) -> bool {
    let token = &tokens[at];
    // "Food poisoning" is a diagnosis.
    if token.denied_by.is_some() || token.word == "poisoning" {
        return false;
    }
    let causes =
        matches!(token.word.as_str(), "cause" | "causes" | "trigger" | "mask" | "burn" | "harm" | "hurt")
            && at > 0
            && matches!(tokens[at - 1].word.as_str(), "can" | "may" | "could" | "might" | "will");
    HARM.contains(&token.stem.as_str()) || causes
}
