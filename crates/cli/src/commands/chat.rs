//! `medtune chat`: a conversation in the terminal.

use std::io::{BufRead, IsTerminal};

use ::chat::{Message, Role};

use crate::args::ChatArgs;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::pipeline::base::Model;
use crate::pipeline::writing::Writer;

pub(crate) fn run(args: &ChatArgs) -> Outcome<()> {
    let model = Model::of(&args.model)?;
    let mut writer = Writer::new(&model, &args.sampling)?;
    let start: Vec<Message> = args.system.iter().map(|s| Message::new(Role::System, s.as_str())).collect();
    let mut messages = start.clone();
    let person = std::io::stdin().is_terminal();
    if person {
        eprintln!("Ask. `/new` starts again, `/quit` or Ctrl-D ends.");
    }
    let mut lines = std::io::stdin().lock().lines();
    loop {
        if person {
            eprint!("> ");
        }
        let Some(line) = lines.next() else { return Ok(()) };
        let line = line.map_err(|e| Failure::input(format!("standard input: {e}")))?;
        match line.trim() {
            "" => continue,
            "/quit" => return Ok(()),
            "/new" => {
                messages.clone_from(&start);
                continue;
            }
            question => messages.push(Message::user(question)),
        }
        let answer = writer.answer(&messages, &mut output::stream)?;
        output::print("\n")?;
        messages.push(Message::assistant(answer.text));
    }
}
