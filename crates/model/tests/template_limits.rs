//! Templates of strangers end, and hold little, whatever they do.

mod allocations;

use std::time::{Duration, Instant};

use allocations::measured;
use chat::Message;
use model::ChatTemplate;

/// The most that a rendering may hold: 128 MiB of values, and what stands around them.
const MEMORY: usize = 192 << 20;
/// The longest that one may take, on a slow machine.
const TIME: Duration = Duration::from_secs(10);

/// The error that a template gives within the limits.
fn refused(source: &str) -> String {
    let clock = Instant::now();
    let (result, held) = measured(|| {
        let template = ChatTemplate::from_source(source, None, None)?;
        template.render(&[Message::user("Hello")], true)
    });
    let (took, shown) = (clock.elapsed(), source.chars().take(100).collect::<String>());
    println!("{took:>10.2?} {:>5} MiB  {shown}: {result:.90?}", held >> 20);
    assert!(held <= MEMORY, "{shown}: {held} bytes held");
    assert!(took <= TIME, "{shown}: {took:?}");
    result.expect_err(&shown)
}

#[test]
fn texts_that_grow_are_refused() {
    let own_text = format!(
        "{{% set x %}}{{% for i in range(99999) %}}{}{{% endfor %}}{{% endset %}}",
        "a template's own text ".repeat(1000)
    );
    assert!(refused(&own_text).contains("MiB"));
    for source in [
        "{{ 'x' * 10**9 }}",
        "{{ 'x' * 10**8 }}",
        "{% for i in range(99999) %}{% set x = 'x' * 99999999 %}{% endfor %}",
        "{% set ns = namespace(x='x') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x='x') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace(x='x') %}{% for i in range(60) %}{% set ns.x = ns.x * 2 %}{% endfor %}",
        "{% set ns = namespace(x='x') %}{% for i in range(60) %}{% set t %}{{ ns.x }}{{ ns.x }}{% endset %}\
         {% set ns.x = t %}{% endfor %}",
        "{% set ns = namespace(x='x') %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] | join %}{% endfor %}",
        "{% set ns = namespace(x='x') %}{% for i in range(60) %}{% set ns.x = ns.x.replace('x', 'xx') %}{% endfor %}",
        "{% set ns = namespace(x='x') %}{% for i in range(60) %}{% set ns.x = '%s%s' | format(ns.x, ns.x) %}{% endfor %}",
        "{% set ns = namespace(x='x') %}{% for i in range(60) %}{% set ns.x = '{0}{0}'.format(ns.x) %}{% endfor %}",
        "{% macro twice(x, n) %}{% if n %}{{ twice(x ~ x, n - 1) }}{% endif %}{% endmacro %}{{ twice('x', 90) }}",
        "{{ range(99999) | join('x' * 99999) }}",
        "{{ ('x' * 99999).join(range(99999)) }}",
        "{{ ('x' * 99999).replace('x', 'x' * 99999) }}",
        "{{ ('x' * 99999) | replace('x', 'x' * 99999) }}",
        "{{ ('\n' * 99999) | indent('x' * 99999) }}",
        "{{ range(99999) | list | tojson(indent='x' * 99999) }}",
        "{{ range(99999) | list | tojson(separators=['x' * 99999, 'y']) }}",
        "{{ '%99999999999d' | format(1) }}",
        "{{ '%.999999999f' | format(1.5) }}",
        "{{ '{:999999999}'.format('x') }}",
        "{{ (['a' * 999] * 999) | map('replace', 'a', 'b' * 9999) | list | length }}",
    ] {
        let error = refused(source);
        assert!(error.contains("MiB") || error.contains("steps"), "{source}: {error}");
    }
}

#[test]
fn lists_that_grow_are_refused() {
    for source in [
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = {'a': ns.x, 'b': ns.x} %}{% endfor %}\
         {% if ns.x == ns.x %}{% endif %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(99999) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(99999) %}{% set ns.x = ns.x | batch(1) | list %}{% endfor %}",
        "{% set ns = namespace(x=1) %}{% set ns.x = ns %}{{ ns }}",
        "{% set ns = namespace(x=1) %}{% set ns.x = ns %}{{ ns | tojson }}",
        "{% set ns = namespace(x=1) %}{% set ns.x = ns %}{% if ns == ns %}{% endif %}",
        "{{ [1] | slice(10**9) | list }}",
        "{{ [1] | batch(10**9, 2) | list }}",
        "{{ range(10**9) | list }}",
        "{{ [range(99999)] * 9999 }}",
        "{{ ([range(99999) | list] * 9999) | sum(start=[]) }}",
        "{% for i in range(9) %}{{ range(99999) | list | length }}{% endfor %}\
         {% for i in range(999) %}{% set x = range(99999) | list %}{% endfor %}{{ x | list }}{{ x | sum }}{{ x }}",
        "{% for i in range(9999) %}{% set x = 'a' in (range(99999) | list) %}{% endfor %}",
        "{% for i in range(9999) %}{% set x = (range(9999) | list) == (range(9999) | list) %}{% endfor %}",
        "{{ range(99999) | select('in', range(99999)) | list }}",
        "{{ ('x' * 999999) | trim('y' * 999999 ~ 'x') }}",
        "{{ ('x' * 999999).strip('y' * 999999 ~ 'x') }}",
        "{{ range(99999) | sort(attribute='a,' * 99999) }}",
        "{{ range(99999) | map('trim', 'y' * 99999) | list }}",
    ] {
        refused(source);
    }
}

#[test]
fn values_made_anew_at_every_step_do_not_pile_up() {
    for source in [
        "{% set ns = namespace(x=[1, 2]) %}{% for i in range(30000) %}{% set ns.x = ns.x[0:] %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=[1, 2]) %}{% for i in range(30000) %}{% set ns.x = ns.x | reverse %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=[1, 2]) %}{% for i in range(30000) %}{% set ns.x = ns.x + [] %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=[1, 2]) %}{% for i in range(30000) %}{% set ns.x = ns.x | list %}{% endfor %}{{ ns.x }}",
    ] {
        let template = ChatTemplate::from_source(source, None, None).expect("it compiles");
        let (text, held) = measured(|| template.render(&[], false));
        assert_eq!(text.as_deref(), Ok("[1, 2]"), "{source}");
        assert!(held <= 16 << 20, "{source}: {held} bytes held");
    }
}

#[test]
fn what_no_template_has_is_refused() {
    for source in [
        "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
        "{% include 'chat_template' %}",
        "{% extends 'chat_template' %}",
        "{{ messages | sort }}",
        "{{ debug() }}",
        "{{ messages | pprint }}",
    ] {
        refused(source);
    }
}

#[test]
fn long_conversations_stay_within_the_limits() {
    // 400 turns of 1 KiB, by the template with the most operations of those that are built in.
    let turn = |number: usize| {
        let text = format!("{number} {}", "word ".repeat(200));
        if number.is_multiple_of(2) { Message::user(text) } else { Message::assistant(text) }
    };
    let messages: Vec<Message> = (0..400).map(turn).collect();
    for name in ["chatml", "gemma", "llama3", "mistral", "qwen", "smollm2"] {
        let template = ChatTemplate::builtin(name).expect("it is built in");
        let (text, held) = measured(|| template.render(&messages, true));
        assert!(text.expect(name).len() > 400 * 1000, "{name}");
        assert!(held <= 32 << 20, "{name}: {held} bytes held");
    }
    let quadratic = "{% set ns = namespace(x='') %}{% for m in messages %}{% set ns.x = ns.x ~ m.content %}{% endfor %}{{ ns.x }}";
    let template = ChatTemplate::from_source(quadratic, None, None).expect("it compiles");
    assert!(template.render(&messages[..200], false).expect("it renders").len() > 200 * 1000);
}
