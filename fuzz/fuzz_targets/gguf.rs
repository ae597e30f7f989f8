//! What is accepted lies inside the file, side by side, and decodes.

#![no_main]

use formats::GgufFile;
use formats::gguf::AdapterFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = fuzz::file("a.gguf", bytes);
    let Ok(file) = GgufFile::open(&path) else { return };
    let mut total = 0;
    for name in file.names() {
        let info = file.info(name).expect("it is listed");
        total += info.bytes;
        assert!(info.offset as usize + info.bytes <= bytes.len(), "{name} lies inside");
        let values = file.f32(name).expect("it can be read");
        assert_eq!(values.len(), info.shape.iter().product::<usize>());
        let _ = file.matrix(name);
    }
    assert!(total <= bytes.len(), "no byte belongs to two tensors");
    if let Ok(adapter) = AdapterFile::open(&path) {
        for factors in adapter.factors(Some(4)).flatten() {
            assert_eq!(factors.a.len() % factors.rank, 0, "rows of A");
            assert_eq!(factors.b.len() % factors.rank, 0, "columns of B");
        }
    }
});
