//! What tokens cost, where the provider does not say it with every reply.

use std::collections::BTreeMap;

use chat::Usage;
use serde::{Deserialize, Serialize};

/// The price of one model, in the words of LiteLLM's `model_prices_and_context_window.json`, so that this file, or a
/// part of it, can be used as it is. What else it says of a model is passed over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Price {
    /// For one token of a prompt.
    #[serde(default)]
    pub input_cost_per_token: Option<f64>,
    /// For one token of a reply.
    #[serde(default)]
    pub output_cost_per_token: Option<f64>,
}

/// Prices by model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Prices(BTreeMap<String, Price>);

impl Prices {
    /// The price of `model`: under its name, or under the only name that ends in `/` and it.
    pub fn of(&self, model: &str) -> Option<Price> {
        let known =
            |price: &Price| price.input_cost_per_token.is_some() || price.output_cost_per_token.is_some();
        if let Some(price) = self.0.get(model) {
            return Some(*price).filter(known);
        }
        let mut longer = self.0.iter().filter(|(name, price)| {
            known(price) && name.strip_suffix(model).is_some_and(|provider| provider.ends_with('/'))
        });
        let found = longer.next().map(|(_, price)| *price);
        found.filter(|_| longer.next().is_none())
    }
}

impl Price {
    /// What `usage` costs.
    pub fn cost(&self, usage: &Usage) -> f64 {
        self.input_cost_per_token.unwrap_or(0.0) * usage.prompt_tokens as f64
            + self.output_cost_per_token.unwrap_or(0.0) * usage.completion_tokens as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_read_from_the_table_that_litellm_keeps() {
        let table = r#"{
            "sample_spec": { "max_tokens": "a number", "mode": "one of …" },
            "groq/llama-3": { "input_cost_per_token": 5.9e-7, "output_cost_per_token": 7.9e-7, "mode": "chat" },
            "a/twice": { "input_cost_per_token": 1 },
            "b/twice": { "input_cost_per_token": 2 }
        }"#;
        let prices: Prices = serde_json::from_str(table).unwrap();
        let usage = Usage { prompt_tokens: 1000, completion_tokens: 100, estimated: false };
        let price = prices.of("llama-3").unwrap();
        assert!((price.cost(&usage) - (5.9e-4 + 7.9e-5)).abs() < 1e-12);
        assert_eq!(prices.of("groq/llama-3"), Some(price));
        assert_eq!(prices.of("twice"), None, "two providers, two prices");
        assert_eq!(prices.of("sample_spec"), None);
        assert_eq!(prices.of("lama-3"), None);
    }
}
