//! A conversation as token ids with the mask of what is learned.
//!
//! The ids are those of the rendered template, as Hugging Face's `apply_chat_template(tokenize=True)` gives them, with
//! two differences. A control token that is *written* in a message stays ordinary text. And no token reaches from
//! what is given into an answer, nor does what is given look different because an answer follows: the vocabulary's
//! words end where an answer begins. (GPT-2's rules make one token of two line breaks at the end of a text and two
//! before a word; after a header that ends in two line breaks, as Llama 3's, a model would be trained on a beginning
//! that it never sees when it answers.) So the ids of a prompt are the first ids of every conversation that goes on
//! from it.
//!
//! Where an answer lies is found by rendering: what the template writes for the messages before it, with the
//! beginning of an answer, is a prefix of what it writes for the whole.

use std::ops::Range;

use chat::{Message, Role};

use crate::tokenizer::Piece;
use crate::{ChatTemplate, Result, Tokenizer};

/// What is learned of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TrainOn {
    /// The answers, each with the token that ends its turn.
    #[default]
    Answers,
    /// Every token but the first, which nothing predicts.
    Everything,
}

/// A conversation in ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The tokens.
    pub ids: Vec<u32>,
    /// For each token, whether it is learned.
    pub labels: Vec<bool>,
}

impl Encoded {
    /// How many tokens are learned.
    pub fn label_count(&self) -> usize {
        self.labels.iter().filter(|label| **label).count()
    }
}

/// Why a conversation cannot be encoded.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConversationError {
    /// Nothing in it would be learned.
    #[error("the conversation has no answer to learn from")]
    NoLabel,
    /// Every token would be learned although only answers should be.
    #[error("every token of the conversation is part of an answer; expected a question before it")]
    AllLabelled,
    /// The model would not learn to stop.
    #[error(
        "message {turn}: the template does not end an answer with a control token that the tokenizer knows, \
         so the model would not learn to stop; hint: does the template belong to this tokenizer?"
    )]
    OpenAnswer {
        /// The number of the answer among the messages, from 0.
        turn: usize,
    },
    /// The place of an answer cannot be found.
    #[error(
        "message {turn}: the template writes the conversation up to this answer differently from the whole \
         conversation, so what is learned cannot be told from what is given"
    )]
    NotAPrefix {
        /// The number of the answer among the messages, from 0.
        turn: usize,
    },
    /// A message's text has changed the control tokens.
    #[error("the text of a message becomes a control token when the template has transformed it")]
    ForeignControlToken,
    /// The text starts with two BOS tokens.
    #[error("the template writes the token before the text (BOS) twice")]
    DoubleBos,
}

/// The ids of a conversation and which of them are learned.
///
/// # Errors
///
/// [`crate::Error::Conversation`] with the reason, [`crate::Error::Template`] when the template refuses the
/// conversation, [`crate::Error::Tokenizer`] when the vocabulary has no tokens for it.
pub fn encode_conversation(
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
    messages: &[Message],
    train_on: TrainOn,
) -> Result<Encoded> {
    let disguise = Disguise::of(tokenizer, template, messages);
    let hidden = disguise.hide_all(messages);
    let rendered = template.render(&hidden, false)?;
    let mut answers = match train_on {
        TrainOn::Answers => answers_in(template, &hidden, &rendered)?,
        TrainOn::Everything => Vec::new(),
    };
    let cuts = match train_on {
        TrainOn::Answers => answers.iter().map(|answer| answer.bytes.start).collect(),
        TrainOn::Everything => beginnings(template, &hidden, &rendered),
    };
    let (text, pieces) = encode_disguised(tokenizer, &disguise, &rendered, &cuts, &mut answers)?;
    check_control(tokenizer, template, messages, false, &pieces)?;
    let labels = match train_on {
        TrainOn::Answers => label_answers(tokenizer, &text, &pieces, &answers)?,
        TrainOn::Everything => (0..pieces.len()).map(|position| position > 0).collect(),
    };
    if !labels.contains(&true) {
        return Err(ConversationError::NoLabel.into());
    }
    if train_on == TrainOn::Answers && !labels.contains(&false) {
        return Err(ConversationError::AllLabelled.into());
    }
    Ok(Encoded { ids: pieces.into_iter().map(|piece| piece.id).collect(), labels })
}

/// The ids of a conversation with the beginning of the next answer, ready for generation.
///
/// # Errors
///
/// Those of [`encode_conversation`], without the ones about answers.
pub fn encode_prompt(
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
    messages: &[Message],
) -> Result<Vec<u32>> {
    let disguise = Disguise::of(tokenizer, template, messages);
    let hidden = disguise.hide_all(messages);
    let rendered = template.render(&hidden, true)?;
    let cuts = beginnings(template, &hidden, &rendered);
    let (_, pieces) = encode_disguised(tokenizer, &disguise, &rendered, &cuts, &mut [])?;
    check_control(tokenizer, template, messages, true, &pieces)?;
    Ok(pieces.into_iter().map(|piece| piece.id).collect())
}

/// The bytes of `rendered` at which answers begin, as far as they can be found.
fn beginnings(template: &ChatTemplate, messages: &[Message], rendered: &str) -> Vec<usize> {
    let turns = messages.iter().enumerate().filter(|(_, message)| message.role == Role::Assistant);
    // A template may refuse the messages before an answer alone; whether that matters is not decided here.
    let before = turns.filter_map(|(turn, _)| template.render(&messages[..turn], true).ok());
    before.filter(|before| rendered.starts_with(before)).map(|before| before.len()).collect()
}

/// Where an answer lies in the rendered text.
#[derive(Debug)]
struct Answer {
    turn: usize,
    bytes: Range<usize>,
    /// Whether `bytes` ends with the turn; if not it reaches to the end of the text and only an end-of-text token in
    /// it can end the turn.
    bounded: bool,
}

/// Finds each answer between what is written before it and what is written up to it.
fn answers_in(template: &ChatTemplate, messages: &[Message], rendered: &str) -> Result<Vec<Answer>> {
    let mut answers = Vec::new();
    for (turn, _) in messages.iter().enumerate().filter(|(_, message)| message.role == Role::Assistant) {
        let before = template.render(&messages[..turn], true)?;
        if !rendered.starts_with(&before) {
            return Err(ConversationError::NotAPrefix { turn }.into());
        }
        // Some templates shorten earlier answers (they drop the reasoning), so that a conversation up to one is not a
        // prefix of the whole.
        let until = if turn + 1 == messages.len() {
            Some(rendered.len())
        } else {
            let until = template.render(&messages[..=turn], false)?;
            rendered.starts_with(&until).then_some(until.len()).filter(|until| *until >= before.len())
        };
        let bytes = before.len()..until.unwrap_or(rendered.len());
        answers.push(Answer { turn, bytes, bounded: until.is_some() });
    }
    Ok(answers)
}

/// Labels each answer up to and with the control token that ends it.
fn label_answers(
    tokenizer: &Tokenizer,
    text: &str,
    pieces: &[Piece],
    answers: &[Answer],
) -> Result<Vec<bool>> {
    let mut labels = vec![false; pieces.len()];
    for answer in answers {
        let first = pieces.partition_point(|piece| piece.bytes.start < answer.bytes.start);
        let after = pieces.partition_point(|piece| piece.bytes.start < answer.bytes.end);
        let turn = &pieces[first..after.max(first)];
        let end = if answer.bounded {
            let last = turn.iter().rposition(|piece| tokenizer.is_special(piece.id));
            last.filter(|last| is_blank(text, turn[*last].bytes.end..answer.bytes.end))
        } else {
            let ends = |piece: &Piece| tokenizer.eos_ids().contains(&piece.id);
            let first_special = turn.iter().position(|piece| tokenizer.is_special(piece.id));
            first_special.filter(|position| ends(&turn[*position]))
        };
        let Some(end) = end else { return Err(ConversationError::OpenAnswer { turn: answer.turn }.into()) };
        labels[first..=first + end].fill(true);
    }
    Ok(labels)
}

fn is_blank(text: &str, range: Range<usize>) -> bool {
    text.get(range).is_some_and(|rest| rest.trim().is_empty())
}

/// Tokens of a rendered text whose messages were disguised: the template's control tokens count, the rest is text, and
/// no word reaches over one of the `cuts`. Returns the text without disguise, and moves `answers` to its bytes.
fn encode_disguised(
    tokenizer: &Tokenizer,
    disguise: &Disguise,
    rendered: &str,
    cuts: &[usize],
    answers: &mut [Answer],
) -> Result<(String, Vec<Piece>)> {
    let pieces = tokenizer.pieces_with_control(rendered, cuts)?;
    if !disguise.is_in(rendered) {
        return Ok((rendered.to_owned(), pieces));
    }
    let mut control: Vec<Piece> = pieces.into_iter().filter(|piece| tokenizer.is_special(piece.id)).collect();
    let (text, shift) = disguise.reveal(rendered);
    for range in
        control.iter_mut().map(|piece| &mut piece.bytes).chain(answers.iter_mut().map(|a| &mut a.bytes))
    {
        *range = shift.moved(range.start)..shift.moved(range.end);
    }
    let cuts: Vec<usize> = cuts.iter().map(|cut| shift.moved(*cut)).collect();
    let pieces = tokenizer.pieces_with_control_at(&text, &control, &cuts)?;
    Ok((text, pieces))
}

/// The control tokens must be those that the roles imply: what the template writes around other words.
fn check_control(
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
    messages: &[Message],
    add_generation_prompt: bool,
    pieces: &[Piece],
) -> Result<()> {
    let plain: Vec<Message> = messages
        .iter()
        .map(|message| match message.content.trim().is_empty() {
            true => message.clone(),
            false => Message::new(message.role, "x"),
        })
        .collect();
    let expected = tokenizer.pieces_with_control(&template.render(&plain, add_generation_prompt)?, &[])?;
    let control = |pieces: &[Piece]| -> Vec<u32> {
        pieces.iter().map(|piece| piece.id).filter(|id| tokenizer.is_special(*id)).collect()
    };
    let found = control(pieces);
    if found != control(&expected) {
        return Err(ConversationError::ForeignControlToken.into());
    }
    match (tokenizer.bos(), pieces) {
        (Some(bos), [first, second, ..]) if first.id == bos && second.id == bos => {
            Err(ConversationError::DoubleBos.into())
        }
        _ => Ok(()),
    }
}

/// Stand-ins for the control tokens that are written in messages, so that the template can be rendered around them.
struct Disguise {
    /// A character that occurs nowhere, and the text that it stands for.
    stand_ins: Vec<(char, String)>,
}

impl Disguise {
    fn of(tokenizer: &Tokenizer, template: &ChatTemplate, messages: &[Message]) -> Self {
        let special = tokenizer.special_tokens().iter().map(|(text, _)| text);
        let mut written: Vec<String> = special
            .filter(|text| messages.iter().any(|message| message.content.contains(text.as_str())))
            .cloned()
            .collect();
        // The longest first, so that it is hidden whole where another is a part of it.
        written.sort_by_key(|text| std::cmp::Reverse(text.len()));
        let occurs = |c: &char| {
            template.source().contains(*c) || messages.iter().any(|message| message.content.contains(*c))
        };
        // Private-use characters of plane 15.
        let mut free = ('\u{F0000}'..='\u{FFFFD}').filter(|c| !occurs(c));
        let stand_ins = written.into_iter().map_while(|text| free.next().map(|c| (c, text))).collect();
        Disguise { stand_ins }
    }

    fn hide_all(&self, messages: &[Message]) -> Vec<Message> {
        messages.iter().map(|message| Message::new(message.role, self.hide(&message.content))).collect()
    }

    fn hide(&self, text: &str) -> String {
        let mut hidden = text.to_owned();
        for (c, token) in &self.stand_ins {
            hidden = hidden.replace(token.as_str(), c.encode_utf8(&mut [0; 4]));
        }
        hidden
    }

    fn is_in(&self, text: &str) -> bool {
        self.stand_ins.iter().any(|(c, _)| text.contains(*c))
    }

    /// The text with the tokens in their places, and how bytes moved.
    fn reveal(&self, hidden: &str) -> (String, Shift) {
        let mut text = String::with_capacity(hidden.len());
        let mut shift = Shift(vec![(0, 0)]);
        for (at, c) in hidden.char_indices() {
            match self.stand_ins.iter().find(|(stand_in, _)| *stand_in == c) {
                Some((_, token)) => {
                    text.push_str(token);
                    shift.0.push((at + c.len_utf8(), text.len()));
                }
                None => text.push(c),
            }
        }
        (text, shift)
    }
}

/// From bytes of the disguised text to bytes of the text: pairs from which on the distance is the same.
struct Shift(Vec<(usize, usize)>);

impl Shift {
    fn moved(&self, at: usize) -> usize {
        let place = self.0.partition_point(|(from, _)| *from <= at);
        match self.0.get(place.saturating_sub(1)) {
            Some((from, to)) => at - from + to,
            None => at,
        }
    }
}
