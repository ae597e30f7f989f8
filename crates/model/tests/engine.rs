//! The engine: a text depends on its request alone, and what prompts share is computed once.

mod small;

use compute::{Cpu, KV_BLOCK};
use model::engine::{
    AdapterId, Engine, EngineSettings, Event, FinishReason, Refused, Request, Stop, Text, Ticket,
};
use model::{Decoder, Sampling};
use proptest::prelude::*;
use small::{adapted, config, text};

const VOCABULARY: usize = 97;

fn decoder() -> Decoder<Cpu> {
    adapted(&config(VOCABULARY), 2)
}

/// A request of its own kind for every number.
fn request(number: u64, length: usize, max_tokens: usize) -> Request {
    let sampling = match number % 4 {
        0 => Sampling::default(),
        1 => Sampling { temperature: 1.0, seed: number, ..Sampling::default() },
        2 => Sampling {
            temperature: 0.8,
            top_k: 20,
            top_p: 0.9,
            repetition_penalty: 1.2,
            ..Sampling::default()
        },
        _ => Sampling { temperature: 1.5, min_p: 0.05, frequency_penalty: 0.5, ..Sampling::default() },
    };
    Request {
        adapter: if number.is_multiple_of(3) { AdapterId::BASE } else { AdapterId::OWN },
        sampling,
        choice: number as usize,
        logprobs: Some(3),
        ..Request::greedy(
            text(length, number % 5, VOCABULARY),
            Stop { tokens: vec![5, 6], max_tokens, ..Stop::default() },
        )
    }
}

/// Ids of a text, the bits of its log-probabilities and of the likeliest at each place, and why it ended.
type Told = (Vec<u32>, Vec<(u32, Vec<(u32, u32)>)>, FinishReason);

/// What a text is, without the time that it took.
fn told(text: &Text) -> Told {
    let logprobs = text.logprobs.iter().map(|logprob| {
        (logprob.logprob.to_bits(), logprob.top.iter().map(|(id, value)| (*id, value.to_bits())).collect())
    });
    (text.ids.clone(), logprobs.collect(), text.reason)
}

fn write(engine: &mut Engine<'_, Cpu>, requests: &[Request]) -> Vec<Text> {
    let texts = engine.write(requests.to_vec(), &mut |_, _| {}).unwrap();
    assert_eq!(engine.load().positions_held, 0, "blocks of texts that have ended");
    texts
}

fn alone(decoder: &Decoder<Cpu>, request: &Request) -> Text {
    let mut engine = Engine::new(decoder, EngineSettings::new(1, 256)).unwrap();
    write(&mut engine, std::slice::from_ref(request)).remove(0)
}

#[test]
fn texts_do_not_depend_on_what_is_written_beside_them() {
    let decoder = decoder();
    let requests: Vec<Request> = (0..12).map(|i| request(i, 3 + 7 * i as usize, 20)).collect();
    let expected: Vec<_> = requests.iter().map(|request| told(&alone(&decoder, request))).collect();
    assert!(expected.iter().any(|text| text.0.len() == 20), "some are written to their full length");
    let spacious = EngineSettings::new(5, 128);
    let settings = [
        spacious,
        EngineSettings { step_tokens: 5, prefill_chunk: 1, ..spacious },
        EngineSettings { step_tokens: 37, prefill_chunk: 11, ..spacious },
        EngineSettings { slots: 12, positions: 128, ..spacious },
        EngineSettings { slots: 3, positions: 10 * KV_BLOCK, prefill_chunk: 16, ..spacious },
        EngineSettings { queue: 1, ..spacious },
    ];
    for settings in settings {
        let mut engine = Engine::new(&decoder, settings).unwrap();
        for round in 0..2 {
            let texts: Vec<_> = write(&mut engine, &requests).iter().map(told).collect();
            assert_eq!(texts, expected, "{settings:?}, round {round}");
        }
    }
}

#[test]
fn guessing_changes_no_text() {
    let decoder = decoder();
    // Prompts in which words come again, and greedy texts that soon run in circles.
    let requests: Vec<Request> = (0..12)
        .map(|i| {
            let mut request = request(i, 0, 60);
            let sentence = text(9, i, VOCABULARY);
            request.prompt =
                std::iter::repeat_n(&sentence[..], 2 + i as usize % 4).flatten().copied().collect();
            request.stop.tokens.truncate(i as usize % 3);
            request
        })
        .collect();
    let spacious = EngineSettings::new(3, 128);
    let write = |settings| {
        let mut engine = Engine::new(&decoder, settings).unwrap();
        let texts: Vec<_> = write(&mut engine, &requests).iter().map(told).collect();
        (texts, engine.load())
    };
    let (expected, load) = write(EngineSettings { lookup: 0, ..spacious });
    assert_eq!((load.guessed_tokens, load.guessed_right), (0, 0));
    for settings in [
        spacious,
        EngineSettings { slots: 1, ..spacious },
        EngineSettings { lookup: 1, ..spacious },
        EngineSettings { step_tokens: 4, ..spacious },
        EngineSettings { positions: 9 * KV_BLOCK, ..spacious },
    ] {
        let (texts, with) = write(settings);
        assert_eq!(texts, expected, "{settings:?}");
        assert!(with.guessed_right > 30 && with.guessed_right < with.guessed_tokens, "{with:?}");
        assert!(settings.slots > 1 || with.forwards < with.completion_tokens, "{with:?}");
    }
}

#[test]
fn texts_that_must_give_way_go_on_where_they_were() {
    let decoder = decoder();
    let requests: Vec<Request> = (0..4)
        .map(|i| Request { stop: Stop { max_tokens: 60, ..Stop::default() }, ..request(4 * i, 10, 0) })
        .collect();
    let settings = EngineSettings { positions: 8 * KV_BLOCK, ..EngineSettings::new(4, 100) };
    let mut engine = Engine::new(&decoder, settings).unwrap();
    let texts = write(&mut engine, &requests);
    assert!(engine.load().preempted > 0, "four texts of five blocks in eight");
    for (text, request) in texts.iter().zip(&requests) {
        assert_eq!(text.ids.len(), 60);
        assert_eq!(told(text), told(&alone(&decoder, request)));
    }
}

/// Log-probabilities of the whole vocabulary, by id.
fn distribution(logits: &[f32]) -> Vec<u32> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = logits.iter().map(|&l| f64::from((l - highest).exp())).sum();
    let log_total = f64::from(highest) + total.ln();
    logits.iter().map(|&l| ((f64::from(l) - log_total) as f32).to_bits()).collect()
}

#[test]
fn written_token_by_token_or_read_as_a_whole_the_logits_have_the_same_bits() {
    let decoder = decoder();
    for adapter in [AdapterId::BASE, AdapterId::OWN] {
        let stop = Stop { max_tokens: 40, ..Stop::default() };
        let prompt = text(21, 1, VOCABULARY);
        let request =
            Request { adapter, logprobs: Some(VOCABULARY), ..Request::greedy(prompt.clone(), stop) };
        let written = alone(&decoder, &request);
        let mut whole = prompt;
        for (id, logprob) in written.ids.iter().zip(&written.logprobs) {
            let logits = decoder.next_logits(&whole, adapter == AdapterId::OWN).unwrap();
            let mut got = vec![0; VOCABULARY];
            logprob.top.iter().for_each(|(id, value)| got[*id as usize] = value.to_bits());
            assert_eq!(got, distribution(&logits), "after {} tokens", whole.len());
            assert_eq!(logprob.top[0].0, *id, "the likeliest token");
            whole.push(*id);
        }
        assert_eq!(written.ids.len(), 40);
    }
}

#[test]
fn what_was_read_before_is_not_read_again() {
    let decoder = decoder();
    let mut engine = Engine::new(&decoder, EngineSettings::new(2, 200)).unwrap();
    let first = request(1, 70, 20);
    let before = write(&mut engine, std::slice::from_ref(&first)).remove(0);
    assert_eq!(before.usage.cached_tokens, 0);
    let again = write(&mut engine, std::slice::from_ref(&first)).remove(0);
    assert_eq!(again.usage.cached_tokens, 64, "the whole blocks of 70 tokens");
    assert_eq!(told(&again), told(&before));
    // A conversation goes on: what was written is there as well.
    let mut longer = first.clone();
    longer.prompt.extend(&before.ids);
    longer.prompt.extend(text(9, 77, VOCABULARY));
    let next = write(&mut engine, std::slice::from_ref(&longer)).remove(0);
    let known = (70 + before.ids.len() - 1) / KV_BLOCK * KV_BLOCK;
    assert_eq!(next.usage.cached_tokens, known);
    assert_eq!(told(&next), told(&alone(&decoder, &longer)));
}

#[test]
fn a_prompt_whose_whole_blocks_are_all_known_still_computes_its_last_token() {
    let decoder = decoder();
    let mut engine = Engine::new(&decoder, EngineSettings::new(1, 200)).unwrap();
    let request = request(1, 4 * KV_BLOCK, 5);
    let expected = told(&alone(&decoder, &request));
    for cached in [0, 3 * KV_BLOCK] {
        let written = write(&mut engine, std::slice::from_ref(&request)).remove(0);
        assert_eq!(written.usage.cached_tokens, cached);
        assert_eq!(told(&written), expected);
    }
}

#[test]
fn texts_of_one_prompt_read_it_once_even_if_they_come_together() {
    let decoder = decoder();
    let mut engine = Engine::new(&decoder, EngineSettings::new(4, 200)).unwrap();
    let one = Request { choice: 0, ..request(1, 100, 10) };
    let requests: Vec<Request> = (0..4).map(|choice| Request { choice, ..one.clone() }).collect();
    let texts = write(&mut engine, &requests);
    let cached: Vec<usize> = texts.iter().map(|text| text.usage.cached_tokens).collect();
    assert_eq!(cached, [0, 96, 96, 96]);
    assert_eq!(engine.load().cached_tokens, 3 * 96);
    let ids: std::collections::HashSet<_> = texts.iter().map(|text| text.ids.clone()).collect();
    assert_eq!(ids.len(), 4, "each choice is drawn for itself");
    for (text, request) in texts.iter().zip(&requests) {
        assert_eq!(told(text), told(&alone(&decoder, request)));
    }
}

#[test]
fn keys_and_values_of_one_adapter_are_not_those_of_another() {
    let decoder = decoder();
    let mut engine = Engine::new(&decoder, EngineSettings::new(2, 200)).unwrap();
    let tuned = Request { adapter: AdapterId::OWN, ..request(0, 80, 20) };
    let base = Request { adapter: AdapterId::BASE, ..tuned.clone() };
    let canary = told(&alone(&decoder, &base));
    assert_ne!(canary.0, told(&alone(&decoder, &tuned)).0, "the adapter changes the text");
    write(&mut engine, std::slice::from_ref(&tuned));
    let written = write(&mut engine, std::slice::from_ref(&base)).remove(0);
    assert_eq!(written.usage.cached_tokens, 0, "nothing of the other adapter is found");
    assert_eq!(told(&written), canary);
    let both = write(&mut engine, &[tuned.clone(), base]);
    assert_eq!(told(&both[0]), told(&alone(&decoder, &tuned)));
    assert_eq!(told(&both[1]), canary);
}

#[test]
fn room_is_taken_from_what_was_not_wanted_for_longest() {
    let decoder = decoder();
    let settings = EngineSettings { positions: 12 * KV_BLOCK, ..EngineSettings::new(1, 150) };
    let mut engine = Engine::new(&decoder, settings).unwrap();
    let prompts: Vec<Request> = (0..3)
        .map(|i| Request { prompt: text(5 * KV_BLOCK, 100 + i, VOCABULARY), ..request(1, 1, 1) })
        .collect();
    let cached = |engine: &mut Engine<'_, Cpu>, i: usize| {
        write(engine, std::slice::from_ref(&prompts[i])).remove(0).usage.cached_tokens
    };
    assert_eq!([cached(&mut engine, 0), cached(&mut engine, 1)], [0, 0]);
    assert_eq!(cached(&mut engine, 0), 4 * KV_BLOCK, "both are kept");
    assert_eq!(cached(&mut engine, 2), 0);
    assert_eq!(cached(&mut engine, 0), 4 * KV_BLOCK, "the one that was wanted last is kept");
    assert!(cached(&mut engine, 1) < 4 * KV_BLOCK, "the other had to go");
}

#[test]
fn a_cancelled_text_is_gone_before_the_next_step() {
    let decoder = decoder();
    let settings = EngineSettings { positions: 128, ..EngineSettings::new(1, 100) };
    let mut engine = Engine::new(&decoder, settings).unwrap();
    let mut events = Vec::new();
    let endless =
        |number| Request { stop: Stop { max_tokens: 90, ..Stop::default() }, ..request(number, 9, 0) };
    let (first, second) = (engine.submit(endless(0)).unwrap(), engine.submit(endless(4)).unwrap());
    for _ in 0..3 {
        assert!(engine.step(&mut events));
    }
    assert_eq!((engine.load().running, engine.load().waiting), (1, 1));
    engine.cancel(first);
    assert_eq!((engine.load().running, engine.load().positions_held), (0, 0));
    events.clear();
    assert!(engine.step(&mut events));
    let finished = events.iter().find_map(|event| match event {
        Event::Finished { ticket, reason, usage, .. } => Some((*ticket, *reason, usage.completion_tokens)),
        Event::Token { .. } => None,
    });
    assert_eq!(finished, Some((first, FinishReason::Cancelled, 3)));
    let of_second = |event: &Event| matches!(event, Event::Token { ticket, .. } if *ticket == second);
    assert!(events.iter().any(of_second), "the second has the slot in the very step");
    // One that waits, and one that has ended: no harm.
    let third = engine.submit(endless(8)).unwrap();
    engine.cancel(third);
    engine.cancel(third);
    engine.cancel(first);
    engine.cancel(second);
    while engine.step(&mut events) {}
    assert_eq!((engine.load().running, engine.load().waiting, engine.load().positions_held), (0, 0, 0));
}

#[test]
fn prompts_are_read_while_others_are_written() {
    let decoder = decoder();
    let settings = EngineSettings { prefill_chunk: 8, ..EngineSettings::new(2, 200) };
    let mut engine = Engine::new(&decoder, settings).unwrap();
    let mut events = Vec::new();
    let stop = |max_tokens| Stop { max_tokens, ..Stop::default() };
    let first = engine.submit(Request { stop: stop(100), ..request(0, 5, 0) }).unwrap();
    engine.step(&mut events);
    let second = engine.submit(Request { stop: stop(5), ..request(1, 80, 0) }).unwrap();
    let tokens = |events: &[Event], wanted: Ticket| {
        events
            .iter()
            .filter(|event| matches!(event, Event::Token { ticket, .. } if *ticket == wanted))
            .count()
    };
    events.clear();
    for step in 1..10 {
        engine.step(&mut events);
        assert_eq!(tokens(&events, first), step, "a token in every step");
        assert_eq!(tokens(&events, second), 0, "still reading");
    }
    engine.step(&mut events);
    assert_eq!(tokens(&events, second), 1, "80 tokens in chunks of 8");
}

#[test]
fn what_cannot_be_written_is_refused() {
    let decoder = decoder();
    let settings = EngineSettings { queue: 1, ..EngineSettings::new(1, 32) };
    let mut engine = Engine::new(&decoder, settings).unwrap();
    let fine = request(0, 5, 5);
    let refused = |engine: &mut Engine<'_, Cpu>, request: Request| engine.submit(request).unwrap_err();
    let of = |prompt| Request { prompt, ..fine.clone() };
    assert_eq!(refused(&mut engine, of(vec![])), Refused::EmptyPrompt);
    assert_eq!(refused(&mut engine, of(vec![1; 32])), Refused::PromptTooLong { tokens: 32, limit: 31 });
    assert_eq!(refused(&mut engine, of(vec![97])), Refused::UnknownToken { id: 97, vocabulary: VOCABULARY });
    let cold = Sampling { temperature: f32::NAN, ..Sampling::default() };
    let cold = refused(&mut engine, Request { sampling: cold, ..fine.clone() });
    assert_eq!(cold.to_string(), "temperature is NaN, expected 0 or more");
    let strings = Stop { strings: vec!["end".into()], ..fine.stop.clone() };
    assert_eq!(refused(&mut engine, Request { stop: strings, ..fine.clone() }), Refused::NoTokenizer);
    engine.submit(fine.clone()).unwrap();
    engine.submit(fine.clone()).unwrap();
    assert_eq!(refused(&mut engine, fine.clone()), Refused::QueueFull { waiting: 2 });
    let mut events = Vec::new();
    while engine.step(&mut events) {}
    engine.submit(fine).unwrap();
}

#[test]
fn a_text_of_no_tokens_ends_at_once() {
    let decoder = decoder();
    let text = alone(&decoder, &request(1, 5, 0));
    assert_eq!((text.ids.len(), text.reason, text.usage.prompt_tokens), (0, FinishReason::Length, 5));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Requests come and are cancelled at any time, on engines of any size.
    #[test]
    fn whatever_comes_and_goes_every_text_is_as_if_it_were_alone(
        arrivals in prop::collection::vec((0u64..20, 1usize..70, 0usize..30, 0usize..12), 1..20),
        cancelled in prop::collection::vec((0usize..20, 0usize..40), 0..8),
        (slots, blocks, step_tokens, prefill_chunk) in (1usize..6, 7usize..30, 1usize..80, 1usize..40),
    ) {
        let decoder = decoder();
        let settings = EngineSettings {
            slots,
            positions: blocks * KV_BLOCK,
            step_tokens,
            prefill_chunk,
            ..EngineSettings::new(1, 100)
        };
        let mut engine = Engine::new(&decoder, settings).unwrap();
        let mut texts: Vec<(Ticket, Request, Vec<u32>, Option<FinishReason>)> = Vec::new();
        let mut next = arrivals.iter().peekable();
        let (mut wait, mut step) = (0, 0);
        let mut events = Vec::new();
        loop {
            while let Some(&&(number, length, max_tokens, gap)) = next.peek() {
                if wait < gap && step < 1000 {
                    wait += 1;
                    break;
                }
                next.next();
                wait = 0;
                let request = request(number, length, max_tokens);
                let ticket = engine.submit(request.clone()).unwrap();
                texts.push((ticket, request, Vec::new(), None));
            }
            for (which, _) in cancelled.iter().filter(|(_, when)| *when == step) {
                if let Some((ticket, ..)) = texts.get(*which) {
                    engine.cancel(*ticket);
                }
            }
            let busy = engine.step(&mut events);
            step += 1;
            prop_assert!(step < 5000, "the engine comes to an end");
            for event in events.drain(..) {
                let (Event::Token { ticket, .. } | Event::Finished { ticket, .. }) = &event;
                let text = texts.iter_mut().find(|text| text.0 == *ticket).unwrap();
                prop_assert!(text.3.is_none(), "nothing comes after the end");
                match event {
                    Event::Token { id, .. } => text.2.push(id),
                    Event::Finished { reason, usage, .. } => {
                        prop_assert_eq!(usage.completion_tokens, text.2.len());
                        text.3 = Some(reason);
                    }
                }
            }
            let load = engine.load();
            prop_assert!(load.positions_held + load.positions_kept <= load.positions);
            prop_assert!(load.running <= slots);
            if !busy && next.peek().is_none() {
                break;
            }
        }
        prop_assert_eq!(engine.load().positions_held, 0);
        for (_, request, written, reason) in &texts {
            let expected = alone(&decoder, request);
            match reason {
                Some(FinishReason::Cancelled) => prop_assert!(expected.ids.starts_with(written)),
                reason => {
                    prop_assert_eq!(written, &expected.ids);
                    prop_assert_eq!(*reason, Some(expected.reason));
                }
            }
        }
    }
}
