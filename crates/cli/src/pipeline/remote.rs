//! A model at an address, as the command line names it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::chat::Refusal;
use corpus::phi;
use endpoint::{ApiKey, Budget, Endpoint, Gate, Prices, RateLimit, ReplyStore};

use crate::args::{RemoteArgs, SpendingArgs};
use crate::failure::{Failure, Outcome, io};

/// Whether a model is named by its address.
pub(crate) fn is_address(name: &str) -> bool {
    name.starts_with("http://") || name.starts_with("https://")
}

/// The model at an address, which is not spoken to yet. What `store` holds was spent before.
pub(crate) fn at_address(
    name: &str,
    args: &RemoteArgs,
    spending: &SpendingArgs,
    store: Option<&ReplyStore>,
) -> Outcome<Endpoint> {
    let Some(model) = &args.model_name else {
        return Err(Failure::input(format!("{name}: an address needs the model's name there"))
            .hint("for example --model-name meta-llama/llama-3.3-70b-instruct"));
    };
    let key = match &args.api_key_file {
        Some(path) => Some(ApiKey::from_file(path)?),
        None => ApiKey::from_environment(&args.api_key_env)?,
    };
    let extra = match &args.extra {
        None => serde_json::Map::new(),
        Some(text) => serde_json::from_str(text)
            .map_err(|error| Failure::input(format!("--extra: not a JSON object: {error}")))?,
    };
    let spent = store.map(ReplyStore::spent).transpose()?.unwrap_or_default();
    let settings = endpoint::Settings {
        key,
        extra,
        rate: RateLimit { requests: spending.requests_per_minute, tokens: spending.tokens_per_minute },
        budget: Budget { tokens: spending.budget_tokens, money: spending.budget },
        spent,
        prices: prices(spending.prices.as_deref())?,
        timeout: Duration::from_secs(args.timeout),
        ..endpoint::Settings::new(name, model)
    };
    let endpoint = Endpoint::new(settings)?;
    let kept_here = endpoint.is_remote() && !args.allow_phi;
    Ok(if kept_here { endpoint.with_gate(keep_persons_data()) } else { endpoint })
}

/// Lets no request pass in which a person's data is found.
fn keep_persons_data() -> Gate {
    let gate = phi::Gate::new(phi::Mode::Refuse);
    Arc::new(move |request| {
        for message in &request.messages {
            gate.apply(&message.content).map_err(|refused| Refusal { reason: refused.to_string() })?;
        }
        Ok(())
    })
}

/// Prices from a file of LiteLLM's form.
pub(crate) fn prices(path: Option<&Path>) -> Outcome<Prices> {
    let Some(path) = path else { return Ok(Prices::default()) };
    let text = std::fs::read_to_string(path).map_err(io(path))?;
    serde_saphyr::from_str(&text).map_err(|error| Failure::input(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use ::chat::{ChatRequest, Message};

    use super::*;

    #[test]
    fn a_request_with_a_persons_data_is_kept_and_the_reason_does_not_repeat_it() {
        let request = |text: &str| ChatRequest::new(vec![Message::user(text)], 16);
        let gate = keep_persons_data();
        assert!(gate(&request("Pericarditis gives chest pain that is worse when lying.")).is_ok());
        let refusal = gate(&request("Patient: John Miller, MRN 12345678, seen on 03/14/2024.")).unwrap_err();
        assert!(!refusal.reason.contains("Miller") && !refusal.reason.contains("12345678"), "{refusal}");
    }
}
