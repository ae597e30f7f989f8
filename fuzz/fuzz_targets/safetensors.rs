//! Accepts what the reference implementation accepts, and sees the same tensors.

#![no_main]

use formats::SafetensorsFile;
use libfuzzer_sys::fuzz_target;
use safetensors::SafeTensors;

fuzz_target!(|bytes: &[u8]| {
    let path = fuzz::file("a.safetensors", bytes);
    let ours = SafetensorsFile::open(&path);
    let reference = SafeTensors::deserialize(bytes);
    assert_eq!(ours.is_ok(), reference.is_ok(), "{:?} against {:?}", ours.as_ref().err(), reference.as_ref().err());
    let (Ok(ours), Ok(reference)) = (ours, reference) else { return };
    assert_eq!(ours.names().count(), reference.len());
    for (name, view) in reference.iter() {
        assert_eq!(ours.info(name).expect("it is there"), (view.dtype(), view.shape()));
        assert_eq!(ours.bytes(name).expect("it can be read"), view.data());
        let _ = ours.f32(name);
    }
});
