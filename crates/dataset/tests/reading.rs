//! Files of every layout become rows, and what is broken in them is counted, never lost.

#[path = "../../corpus/tests/reference/mod.rs"]
mod reference;

use std::fs;
use std::path::Path;

use chat::{Message, Role};
use dataset::{Dropped, Error, Input, Item, Layout, ReadOptions, Row, Rule, read};
use proptest::prelude::*;

fn read_as(name: &str, bytes: &[u8], options: ReadOptions) -> Result<(Vec<Row>, Vec<Dropped>), Error> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    fs::write(&path, bytes).expect("a temporary file");
    read_all(&Input { path, options })
}

fn read_all(input: &Input) -> Result<(Vec<Row>, Vec<Dropped>), Error> {
    let (mut rows, mut dropped) = (Vec::new(), Vec::new());
    for row in read(input)? {
        match row? {
            Ok(row) => rows.push(row),
            Err(broken) => dropped.push(broken),
        }
    }
    Ok((rows, dropped))
}

fn rows_of(name: &str, text: &str) -> Vec<Row> {
    let (rows, dropped) = read_as(name, text.as_bytes(), ReadOptions::default()).expect("a readable file");
    assert_eq!(dropped, []);
    rows
}

fn broken_of(name: &str, bytes: &[u8]) -> (Vec<String>, Vec<(u64, Rule)>) {
    let (rows, dropped) = read_as(name, bytes, ReadOptions::default()).expect("a readable file");
    let questions = rows.iter().map(Row::question).collect();
    (questions, dropped.iter().map(|row| (row.origin.line.unwrap_or(0), row.rule)).collect())
}

fn talk(row: &Row) -> Vec<(Role, &str)> {
    let Item::Conversation(messages) = &row.item else { panic!("{row:?} is no conversation") };
    messages.iter().map(|Message { role, content }| (*role, content.as_str())).collect()
}

fn right_option(row: &Row) -> (&str, &str) {
    let Item::Choice(choice) = &row.item else { panic!("{row:?} is no choice item") };
    (&choice.options[choice.answer].letter, &choice.options[choice.answer].text)
}

#[test]
fn medquad_rows_name_their_page_as_document() {
    let with =
        "question,answer,source,focus_area,qid,qtype,url\nQ?,\"A,\n\"\"b\"\"\",GHR,Asthma,0001-2,causes,u\n";
    let rows = rows_of("m.csv", with);
    assert_eq!(talk(&rows[0]), [(Role::User, "Q?"), (Role::Assistant, "A,\n\"b\"")]);
    assert_eq!((rows[0].document.as_deref(), rows[0].topic.as_deref()), (Some("GHR/0001"), Some("Asthma")));
    assert_eq!((rows[0].id.as_str(), rows[0].source.as_deref()), ("GHR/0001-2", Some("GHR")));
    let rows = rows_of("m.csv", "question,answer,source,focus_area\nQ?,A,GHR,Asthma\n");
    assert_eq!((rows[0].document.as_deref(), rows[0].id.as_str()), (Some("GHR/Asthma"), "m-1"));
}

#[test]
fn conversations_are_read_from_every_common_layout() {
    let expected = [(Role::User, "q"), (Role::Assistant, "a")];
    for (name, text) in [
        ("a.jsonl", r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}"#),
        ("a.jsonl", r#"{"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]}"#),
        ("a.jsonl", r#"{"prompt":"q","completion":"a"}"#),
        (
            "a.jsonl",
            r#"{"prompt":[{"role":"user","content":"q"}],"completion":[{"role":"assistant","content":"a"}]}"#,
        ),
        ("a.json", r#"[{"instruction":"q","input":"","output":"a"}]"#),
        ("a.json", "{\n \"x\": {\"question\": \"q\", \"answer\": \"a\"}\n}"),
        ("a.tsv", "question\tanswer\nq\ta"),
        ("a.csv", "\u{feff}question;answer\r\nq;a\r\n"),
    ] {
        assert_eq!(talk(&rows_of(name, text)[0]), expected, "{text}");
    }
}

#[test]
fn alpaca_joins_instruction_and_input_and_keeps_system_and_history() {
    let text = r#"{"instruction":"i","input":"x","output":"o","system":"s","history":[["h","r"]]}"#;
    let expected = [
        (Role::System, "s"),
        (Role::User, "h"),
        (Role::Assistant, "r"),
        (Role::User, "i\nx"),
        (Role::Assistant, "o"),
    ];
    assert_eq!(talk(&rows_of("a.jsonl", text)[0]), expected);
}

#[test]
fn choice_items_are_read_from_every_common_layout() {
    for text in [
        r#"{"question":"q","options":{"A":"x","B":"y"},"answer_idx":"B"}"#,
        r#"{"question":"q","opa":"x","opb":"y","opc":"z","opd":"w","cop":2}"#,
        r#"{"sent1":"q","sent2":"","ending0":"x","ending1":"y","label":1}"#,
        r#"{"question":"q","subject":"anatomy","choices":["x","y","z","w"],"answer":1}"#,
    ] {
        assert_eq!(right_option(&rows_of("c.jsonl", text)[0]), ("B", "y"), "{text}");
    }
    let text = r#"{"11": {"QUESTION":"q","CONTEXTS":["c","d"],"LONG_ANSWER":"l","final_decision":"maybe"}}"#;
    let rows = rows_of("p.json", text);
    assert_eq!((right_option(&rows[0]), rows[0].id.as_str()), (("C", "maybe"), "11"));
}

#[test]
fn options_beside_a_question_are_read_where_they_are_asked_for() {
    let as_options = || ReadOptions { layout: Some(Layout::Options), ..ReadOptions::default() };
    for text in [
        r#"{"question":"q","options":["x","y","z"],"answer":"B"}"#,
        r#"{"question":"q","options":{"A":"x","B":"y"},"answer":"b"}"#,
        r#"{"question":"q","options":[{"key":"A","value":"x"},{"key":"B","value":"y"}],"answer":"Y"}"#,
        r#"{"question":"q","options":"[\"x\", \"y\"]","answer":"y"}"#,
        r#"{"question":"q","A":"x","B":"y","C":"","answer":" B "}"#,
    ] {
        let (rows, dropped) = read_as("o.jsonl", text.as_bytes(), as_options()).expect("a readable file");
        assert_eq!((right_option(&rows[0]), dropped.len()), (("B", "y"), 0), "{text}");
    }
    for (text, said) in [
        (
            r#"{"question":"q","options":["x","y"],"answer":"2"}"#,
            "`answer` is `2`, no letter (A, B) and no text of an option",
        ),
        (r#"{"question":"q","options":["x","y"],"answer":"C"}"#, "no letter (A, B)"),
        (r#"{"question":"q","answer":"A"}"#, "no options"),
        (r#"{"question":"q","options":[],"answer":"A"}"#, "no options"),
        (r#"{"question":"q","options":"x or y","answer":"A"}"#, "no options"),
        (r#"{"question":"q","options":["x"],"answer":"A"}"#, "fewer than two options"),
    ] {
        let (rows, dropped) = read_as("o.jsonl", text.as_bytes(), as_options()).expect("a readable file");
        assert!(rows.is_empty() && dropped[0].detail.contains(said), "{text}: {dropped:?}");
    }
    // Rows that are learned may look like this, so nobody is surprised.
    let row =
        rows_of("o.jsonl", r#"{"question":"q","options":["x","y"],"answer":"Because of y."}"#).remove(0);
    assert!(matches!(row.item, Item::Conversation(_)));
}

#[test]
fn mmlu_files_of_the_authors_have_no_header() {
    let text =
        "\"Which, of these?\",x,y,\"z, too\",w,C\nAnd this?,x,y,z,w,A\nNo letter?,x,y,z,w,E\nFive,x,y,A,B\n";
    let read = read_as("anatomy_test.csv", text.as_bytes(), ReadOptions::default());
    let (rows, dropped) = read.expect("a readable file");
    assert_eq!(rows.iter().map(right_option).collect::<Vec<_>>(), [("C", "z, too"), ("A", "x")]);
    assert_eq!(rows[0].question(), "Which, of these?");
    let rules: Vec<Rule> = dropped.iter().map(|row| row.rule).collect();
    assert_eq!(rules, [Rule::AnswerKey, Rule::ColumnCount]);
}

#[test]
fn options_keep_their_blanks_as_the_harness_prints_them() {
    let text = r#"{"sent1":"q ","sent2":"","ending0":"x","ending1":" y ","label":1}"#;
    let rows = rows_of("c.jsonl", text);
    assert_eq!((right_option(&rows[0]), rows[0].question()), (("B", " y "), "q ".to_string()));
}

#[test]
fn medmcqa_keys_count_from_zero_where_a_zero_says_so() {
    let line =
        |cop: u32| format!(r#"{{"question":"q{cop}","opa":"x","opb":"y","opc":"z","opd":"w","cop":{cop}}}"#);
    let from_zero = rows_of("c.jsonl", &format!("{}\n{}", line(1), line(0)));
    assert_eq!(right_option(&from_zero[0]), ("B", "y"));
    let from_one = rows_of("c.jsonl", &format!("{}\n{}", line(1), line(4)));
    assert_eq!(right_option(&from_one[0]), ("A", "x"));
}

#[test]
fn parquet_rows_are_read_with_their_nested_messages() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("train-00000-of-00001.parquet");
    write_parquet(&path).expect("a parquet file");
    let (rows, dropped) = read_all(&Input::new(&path)).expect("a readable file");
    assert_eq!((rows.len(), dropped.len()), (1, 0));
    assert_eq!(talk(&rows[0]), [(Role::User, "q"), (Role::Assistant, "a")]);
}

fn write_parquet(path: &Path) -> parquet::errors::Result<()> {
    use parquet::data_type::{ByteArray, ByteArrayType};
    use parquet::file::{properties::WriterProperties, writer::SerializedFileWriter};
    let schema =
        "message rows { required group messages (LIST) { repeated group list { required group element {
        required binary role (UTF8); required binary content (UTF8); } } } }";
    let schema = std::sync::Arc::new(parquet::schema::parser::parse_message_type(schema)?);
    let properties = std::sync::Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(fs::File::create(path)?, schema, properties)?;
    let mut group = writer.next_row_group()?;
    for values in [["user", "assistant"], ["q", "a"]] {
        let mut column = group.next_column()?.expect("two columns");
        let values = values.map(ByteArray::from);
        column.typed::<ByteArrayType>().write_batch(&values, Some(&[1, 1]), Some(&[0, 1]))?;
        column.close()?;
    }
    group.close()?;
    writer.close()?;
    Ok(())
}

#[test]
fn a_damaged_parquet_file_is_an_error() {
    for bytes in [&b""[..], b"PAR1PAR1", b"PAR1\xff\xff\xff\xff\xff\xff\xff\x7fPAR1"] {
        let result = read_as("x.parquet", bytes, ReadOptions::default());
        assert!(matches!(result, Err(Error::Parquet { .. })), "{result:?}");
    }
}

#[test]
fn a_broken_quote_costs_its_row_and_no_other() {
    let text = b"question,answer\nq1,a1\n\"q2,a2\nq3,a3\n\"q4\"x,a4\nq5,a\"5\nq6,a6\nq7,\"a7\n";
    let (questions, broken) = broken_of("b.csv", text);
    assert_eq!(questions, ["q1", "q3", "q6"]);
    let quote = Rule::BrokenQuote;
    assert_eq!(broken, [(3, quote), (5, quote), (6, quote), (8, quote)]);
}

#[test]
fn every_kind_of_broken_row_is_named_with_its_line() {
    let text = b"question,answer\nq1,\xff\nq2,a\0\nq3\nq4,a,b\n ,a5\nq6, \n\nq7,a7\n";
    let (questions, broken) = broken_of("b.csv", text);
    assert_eq!(questions, ["q7"]);
    let expected = [
        (2, Rule::InvalidUtf8),
        (3, Rule::NulByte),
        (4, Rule::ColumnCount),
        (5, Rule::ColumnCount),
        (6, Rule::EmptyQuestion),
        (7, Rule::EmptyAnswer),
    ];
    assert_eq!(broken, expected);
    let text = b"{\"question\":\"q1\",\"answer\":\"a\"}\n{oops\n[1]\n{\"question\":\"q4\"}\n{\"question\":\"q\\u0000\",\"answer\":\"a\"}\n\
        {\"question\":\"q6\",\"answer\":null}\n\xff\n{\"question\":7,\"answer\":[]}\n{\"question\":\"q9\",\"answer\":\"a\"}";
    let (questions, broken) = broken_of("b.jsonl", text);
    assert_eq!(questions, ["q1", "q9"]);
    let rules: Vec<_> = broken.into_iter().map(|(_, rule)| rule).collect();
    let expected = [
        Rule::JsonSyntax,
        Rule::JsonSyntax,
        Rule::MissingField,
        Rule::NulByte,
        Rule::EmptyAnswer,
        Rule::InvalidUtf8,
        Rule::MissingField,
    ];
    assert_eq!(rules, expected);
}

#[test]
fn an_item_whose_key_names_no_option_is_left_out() {
    for (text, rule) in [
        (r#"{"question":"q","options":{"A":"x","B":"y"},"answer_idx":"E"}"#, Rule::AnswerKey),
        (r#"{"question":"q","opa":"x","opb":"y","opc":"z","opd":"w","cop":5}"#, Rule::AnswerKey),
        (r#"{"question":"q","options":{"A":"x","B":"X "},"answer_idx":"A"}"#, Rule::DuplicateOptions),
        (r#"{"question":" ","options":{"A":"x","B":"y"},"answer_idx":"A"}"#, Rule::EmptyQuestion),
        (r#"{"messages":[{"role":"user","content":"q"}]}"#, Rule::Conversation),
        (
            r#"{"messages":[{"role":"tool","content":"q"},{"role":"assistant","content":"a"}]}"#,
            Rule::Conversation,
        ),
    ] {
        assert_eq!(broken_of("c.jsonl", text.as_bytes()), (vec![], vec![(1, rule)]), "{text}");
    }
}

#[test]
fn a_record_over_the_limit_is_left_out_and_reading_goes_on() {
    let options = ReadOptions { max_record_bytes: 100, ..ReadOptions::default() };
    let long = "x".repeat(1000);
    for (name, text) in [
        ("l.csv", format!("question,answer\nq1,{long}\nq2,\"{long}\"\nq3,a3\n")),
        (
            "l.jsonl",
            format!(
                "{{\"question\":\"q\",\"answer\":\"{long}\"}}\n{long}\n{{\"question\":\"q3\",\"answer\":\"a\"}}"
            ),
        ),
        (
            "l.json",
            format!(
                "[{{\"question\":\"{}\n\",\n\"answer\":\"{}\"}},\n1,\n{{\"question\":\"q3\",\"answer\":\"a\"}}]",
                &long[..90],
                &long[..90]
            ),
        ),
    ] {
        let (rows, dropped) = read_as(name, text.as_bytes(), options.clone()).expect("a readable file");
        assert_eq!(
            (rows.len(), dropped.len(), dropped[0].rule),
            (1, 2, Rule::TooLong),
            "{name}: {dropped:?}"
        );
    }
}

#[test]
fn a_missing_column_is_named_with_the_columns_that_exist() {
    let error =
        read_as("x.csv", b"Questions,answer\nq,a\n", ReadOptions::default()).expect_err("no question");
    let text = error.to_string();
    assert!(text.contains("x.csv: column `question` (qa layout) is missing"), "{text}");
    assert!(text.contains("Questions, answer; did you mean `Questions`?"), "{text}");
    let columns = [("question".to_string(), "Questions".to_string())].into();
    let mapped = ReadOptions { columns, ..ReadOptions::default() };
    assert_eq!(read_as("x.csv", b"Questions,answer\nq,a\n", mapped).expect("mapped").0.len(), 1);
    let columns = [("question".to_string(), "Q".to_string())].into();
    let wrong = ReadOptions { layout: Some(Layout::QuestionAnswer), columns, ..ReadOptions::default() };
    let error = read_as("x.csv", b"question,answer\nq,a\n", wrong).expect_err("no Q");
    assert!(error.to_string().contains("column `Q`"), "{error}");
}

#[test]
fn files_that_are_not_text_are_refused_as_a_whole() {
    for (name, bytes) in
        [("u.csv", &b"\xff\xfeq\0"[..]), ("mac.csv", b"question,answer\rq,a\r"), ("empty.csv", b"")]
    {
        let result = read_as(name, bytes, ReadOptions::default());
        assert!(matches!(result, Err(Error::NotText { .. })), "{name}: {result:?}");
    }
    assert!(matches!(read_as("x.docx", b"", ReadOptions::default()), Err(Error::UnknownKind { .. })));
}

const GOOD_CSV: &str =
    "question,answer,source\nq1,\"a, one\",s\n\"q \"\"2\"\"\",\"a\ntwo\",s\nq3,a3,s\nq4,a4,s\n";
const GOOD_JSONL: &str = "{\"question\":\"q1\",\"answer\":\"a\\n1\"}\n{\"question\":\"q2\",\"answer\":\"a2\"}\n\
    {\"question\":\"q3\",\"answer\":\"{[\"}\n";

proptest! {
    /// A good file with a few bytes changed, cut out or put in is read to its end without a panic, and what stands
    /// on the lines that were not touched and cannot be part of a broken quote comes through in JSON lines.
    #[test]
    fn damaged_files_are_read_to_their_end(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0u8..3, prop::sample::select(b"\"\"\"\"\n\r,\0\xff{}[]\\:x".to_vec())), 1..6),
    ) {
        let array = format!("[{}]", GOOD_JSONL.trim().replace('\n', ",\n"));
        for (name, text) in [("h.csv", GOOD_CSV), ("h.jsonl", GOOD_JSONL), ("h.json", array.as_str())] {
            let mut bytes = text.as_bytes().to_vec();
            for (place, kind, byte) in &edits {
                let at = place.index(bytes.len().max(1));
                match kind {
                    0 if at < bytes.len() => bytes[at] = *byte,
                    1 if at < bytes.len() => drop(bytes.remove(at)),
                    _ => bytes.insert(at, *byte),
                }
            }
            if let Ok((rows, dropped)) = read_as(name, &bytes, ReadOptions::default()) {
                for (at, row) in rows.iter().map(|row| &row.origin).chain(dropped.iter().map(|row| &row.origin)).enumerate() {
                    prop_assert!(row.row >= 1 && row.row as usize <= rows.len() + dropped.len(), "{at}: {row:?}");
                }
                // A file that begins with a bracket is an array whatever its name, and has no lines to count.
                let array = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
                if name == "h.jsonl" && !array {
                    let lines = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes).split(|byte| *byte == b'\n');
                    let filled = lines.filter(|line| !line.iter().all(u8::is_ascii_whitespace)).count();
                    prop_assert_eq!(rows.len() + dropped.len(), filled);
                }
            }
        }
    }

    /// One changed byte in a line of a JSON lines file leaves every other row as it was.
    #[test]
    fn a_damaged_line_leaves_the_others_alone(line in 0usize..3, place in any::<prop::sample::Index>(), byte in 0u8..=255) {
        prop_assume!(byte != b'\n');
        let mut lines: Vec<Vec<u8>> = GOOD_JSONL.lines().map(|line| line.as_bytes().to_vec()).collect();
        let at = place.index(lines[line].len());
        lines[line][at] = byte;
        let (rows, dropped) = match read_as("h.jsonl", &lines.join(&b'\n'), ReadOptions::default()) {
            Ok(read) => read,
            // The first line names the columns; a changed name may leave the file without a layout.
            Err(error) => {
                prop_assert!(line == 0, "{}", error);
                return Ok(());
            }
        };
        prop_assert_eq!(rows.len() + dropped.len(), 3);
        for other in (0..3).filter(|other| *other != line) {
            let question = format!("q{}", other + 1);
            let there = rows.iter().any(|row| row.question() == question);
            prop_assert!(there || line == 0, "{} is lost", question);
        }
    }
}

#[test]
fn the_reference_files_are_read_whole() {
    for (name, layout, rows, dropped) in [
        ("medical/medquad/medquad.csv.gz", Layout::QuestionAnswer, 16_407, 0),
        ("medical/pubmedqa/ori_pqal.json", Layout::PubMedQa, 1_000, 0),
        ("medical/mirage_raw/pubmedqa/data/test_set.json", Layout::PubMedQa, 500, 0),
        ("medical/huatuo/demo_data.json", Layout::MedQa, 198, 0),
        ("medical/ultramedical/examples.json", Layout::ShareGpt, 50, 0),
        (
            "medical/mirage_raw/medqa/data_clean/questions/US/4_options/phrases_no_exclude_test.jsonl",
            Layout::MedQa,
            1_273,
            0,
        ),
        ("medical/mirage_raw/medmcqa/data/dev.json", Layout::MedMcqa, 4_183, 4),
    ] {
        let Some(path) = reference::oracle(name) else { continue };
        let input = Input::new(path);
        assert_eq!(read(&input).expect("a readable file").layout(), Some(layout), "{name}");
        let (read, broken) = read_all(&input).expect("a readable file");
        assert_eq!(read.len() + broken.len(), rows, "{name}");
        assert_eq!(broken.len(), dropped, "{name}: {:?}", dataset::count_by_rule(&broken));
    }
}
