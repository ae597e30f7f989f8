//! Several adapters on one base: one forward for all, and each text as if it were alone.

mod small;

use std::sync::Arc;

use compute::cpu::{Isa, Precision};
use compute::{Backend, Cpu};
use formats::quant::{BlockMatrix, BlockType, QuantizedMatrix};
use model::engine::{AdapterId, Engine, EngineSettings, Request, Stop, Text};
use model::{Config, Decoder, LoraConfig, RandomStart, StoredTensor, TensorSource, Trainable};
use small::text;

const VOCABULARY: usize = 97;

/// Longer sums than one block of depth has.
fn config() -> Config {
    Config { intermediate_size: 1600, layers: 2, ..small::config(VOCABULARY) }
}

/// A base with large weights, its projections in Q8_0 if they are to be.
struct Base {
    start: RandomStart,
    quantized: bool,
}

impl TensorSource for Base {
    fn tensor(&self, name: &str) -> model::Result<StoredTensor> {
        let tensor = self.start.tensor(name)?;
        let factor = if tensor.shape.len() == 1 { 1.0 } else { 8.0 };
        let values: Vec<f32> = tensor.to_f32().iter().map(|v| v * factor).collect();
        Ok(StoredTensor::from_f32(tensor.shape, &values))
    }

    fn quantized(&self, name: &str) -> model::Result<Option<QuantizedMatrix>> {
        if !self.quantized || !name.ends_with("_proj.weight") {
            return Ok(None);
        }
        let tensor = self.tensor(name)?;
        let data = BlockType::Q8_0.encode(&tensor.to_f32()).unwrap();
        let matrix = BlockMatrix::new(BlockType::Q8_0, tensor.shape[0], tensor.shape[1], data).unwrap();
        Ok(Some(matrix.into()))
    }

    fn origin(&self) -> String {
        "test".into()
    }
}

fn base(device: Cpu, quantized: bool) -> Decoder<Cpu> {
    let source = Base { start: RandomStart::new(config(), 3), quantized };
    Decoder::new(Arc::new(device), config(), &source, &Trainable::Nothing).unwrap()
}

/// An adapter that has moved from its start, in a way of its own.
fn adapter(base: &Decoder<Cpu>, config: LoraConfig, seed: u64) -> Decoder<Cpu> {
    let mut adapter = base.with_another(config, seed).unwrap();
    for p in adapter.parameters.list.clone() {
        let noise = model::random::normal(seed, &p.name, p.len());
        let own = adapter.parameters.read(base.backend(), &p);
        let moved: Vec<f32> = own.iter().zip(noise).map(|(own, z)| own + 0.1 * z).collect();
        base.backend().write(&mut adapter.parameters.values, p.offset, &moved);
    }
    adapter
}

/// Adapters that differ in rank, scale and place; the last two change more than projections.
fn adapters(base: &Decoder<Cpu>) -> Vec<Decoder<Cpu>> {
    let on = |targets: &[&str], rank, alpha| LoraConfig {
        targets: targets.iter().map(|target| target.to_string()).collect(),
        ..LoraConfig::all(rank, alpha)
    };
    let shapes = [
        LoraConfig::all(4, 8.0),
        on(&["q_proj", "v_proj"], 3, 3.0),
        on(&["k_proj", "down_proj"], 1, 2.0),
        LoraConfig::all(5, 1.0),
        LoraConfig { dora: true, ..LoraConfig::all(2, 4.0) },
        on(&["o_proj", "lm_head"], 2, 4.0),
    ];
    shapes.into_iter().zip(20..).map(|(shape, seed)| adapter(base, shape, seed)).collect()
}

fn request(adapter: AdapterId, length: usize) -> Request {
    let stop = Stop { max_tokens: 12, ..Stop::default() };
    Request { adapter, logprobs: Some(4), ..Request::greedy(text(length, length as u64, VOCABULARY), stop) }
}

fn told(text: &Text) -> (Vec<u32>, Vec<Vec<u32>>) {
    let bits = |logprob: &model::engine::TokenLogprob| {
        logprob.top.iter().map(|(_, value)| value.to_bits()).chain([logprob.logprob.to_bits()]).collect()
    };
    (text.ids.clone(), text.logprobs.iter().map(bits).collect())
}

fn engine<'m>(base: &'m Decoder<Cpu>, adapters: &'m [Decoder<Cpu>], slots: usize) -> Engine<'m, Cpu> {
    let mut engine = Engine::new(base, EngineSettings::new(slots, 128)).unwrap();
    for adapter in adapters {
        engine.add_adapter(adapter).unwrap();
    }
    engine
}

/// The base, then the adapters.
fn everyone(adapters: &[Decoder<Cpu>]) -> Vec<AdapterId> {
    let others = (0..adapters.len() as u32).map(AdapterId::another);
    std::iter::once(AdapterId::BASE).chain(others).collect()
}

#[test]
fn texts_with_any_adapters_have_the_bits_that_each_has_alone() {
    let devices = || {
        let lowered = (Isa::detect() != Isa::Plain).then(|| Cpu::with_isa(1, Isa::Plain));
        let narrow = Precision::Bf16.available().then(|| Cpu::new(1).with_precision(Precision::Bf16));
        let floats = lowered.into_iter().chain(narrow).chain([Cpu::new(2)]);
        let integers = [Cpu::new(2), Cpu::new(2).with_integer_products()];
        floats.map(|device| (device, false)).chain(integers.map(|device| (device, true)))
    };
    for (device, quantized) in devices() {
        let what = format!("{device:?}, quantized: {quantized}");
        let base = base(device, quantized);
        let adapters = adapters(&base);
        // Prompts of some rows share a pass, longer ones do not.
        let ids = everyone(&adapters);
        let requests: Vec<Request> =
            ids.iter().chain(&ids).enumerate().map(|(i, id)| request(*id, 5 + 4 * i)).collect();
        let mut together = engine(&base, &adapters, requests.len());
        let texts = together.write(requests.clone(), &mut |_, _| {}).unwrap();
        let mut written = std::collections::HashSet::new();
        for (text, request) in texts.iter().zip(&requests) {
            let mut alone = engine(&base, &adapters, 1);
            let alone = alone.write([request.clone()], &mut |_, _| {}).unwrap();
            assert_eq!(told(text), told(&alone[0]), "{what}, {:?}", request.adapter);
            written.insert(told(text));
        }
        assert_eq!(written.len(), requests.len(), "{what}: they differ");
    }
}

#[test]
fn one_forward_writes_for_the_base_and_for_all_adapters_on_projections() {
    let base = base(Cpu::new(1), false);
    let adapters = adapters(&base);
    let forwards = |ids: &[AdapterId]| {
        let mut engine = engine(&base, &adapters, 8);
        let requests: Vec<Request> = ids.iter().map(|id| request(*id, 7)).collect();
        let texts = engine.write(requests, &mut |_, _| {}).unwrap();
        assert!(texts.iter().all(|text| text.ids.len() == 12));
        engine.load().forwards
    };
    let ids = everyone(&adapters);
    assert_eq!(forwards(&ids[..1]), 12);
    assert_eq!(forwards(&ids[..5]), 12, "the base and four adapters");
    assert_eq!(forwards(&ids), 36, "DoRA and an adapter of the head have their own");
}

#[test]
fn the_decoders_own_adapter_and_its_base_share_a_forward() {
    let decoder = small::adapted(&small::config(VOCABULARY), 1);
    let settings = EngineSettings { lookup: 0, ..EngineSettings::new(2, 128) };
    let mut engine = Engine::new(&decoder, settings).unwrap();
    let requests = [AdapterId::BASE, AdapterId::OWN].map(|id| request(id, 9));
    let texts = engine.write(requests.clone(), &mut |_, _| {}).unwrap();
    assert_eq!(engine.load().forwards, 12);
    for (text, request) in texts.iter().zip(requests) {
        let mut alone = Engine::new(&decoder, EngineSettings::new(1, 128)).unwrap();
        assert_eq!(told(text), told(&alone.write([request], &mut |_, _| {}).unwrap()[0]));
    }
}
