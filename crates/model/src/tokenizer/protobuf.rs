//! The fields of a protobuf message. Source: protobuf's `encoding.md`.

/// A field's value, by its wire type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed32(u32),
    Fixed64,
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    pub(super) fn bytes(self) -> Result<&'a [u8], String> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            other => Err(format!("expected bytes, got {other:?}")),
        }
    }

    pub(super) fn text(self) -> Result<&'a str, String> {
        std::str::from_utf8(self.bytes()?).map_err(|reason| format!("not UTF-8: {reason}"))
    }

    pub(super) fn number(self) -> Result<u64, String> {
        match self {
            Value::Varint(number) => Ok(number),
            other => Err(format!("expected a number, got {other:?}")),
        }
    }

    pub(super) fn float(self) -> Result<f32, String> {
        match self {
            Value::Fixed32(bits) => Ok(f32::from_bits(bits)),
            other => Err(format!("expected a float, got {other:?}")),
        }
    }
}

/// The fields of a message, in their order: number and value. Groups, which nobody writes any more, are refused.
pub(super) fn fields(message: &[u8]) -> impl Iterator<Item = Result<(u64, Value<'_>), String>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let at = message.len() - rest.len();
        let field = next(&mut rest).ok_or_else(|| format!("no protobuf field at byte {at}"));
        if field.is_err() {
            rest = &[];
        }
        Some(field)
    })
}

fn next<'a>(rest: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let key = varint(rest)?;
    let value = match key & 7 {
        0 => Value::Varint(varint(rest)?),
        1 => {
            rest.split_off(..8)?;
            Value::Fixed64
        }
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            Value::Bytes(rest.split_off(..length)?)
        }
        5 => Value::Fixed32(u32::from_le_bytes(rest.split_off(..4)?.try_into().ok()?)),
        _ => return None,
    };
    (key >> 3 != 0).then_some((key >> 3, value))
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *rest.split_off_first()?;
        let bits = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_encoding_guide() {
        // `a: 150`, `b: "testing"` and a float, as in protobuf's documentation.
        let message = b"\x08\x96\x01\x12\x07testing\x1d\x00\x00\x80\x3f";
        let got: Result<Vec<_>, _> = fields(message).collect();
        let wanted = vec![
            (1, Value::Varint(150)),
            (2, Value::Bytes(b"testing")),
            (3, Value::Fixed32(1.0f32.to_bits())),
        ];
        assert_eq!(got, Ok(wanted));
    }

    #[test]
    fn what_is_no_field_is_an_error_and_ends_the_message() {
        let cases: [&[u8]; 6] = [
            b"\x08",
            b"\x12\x05abc",
            b"\x0b",
            b"\x00\x00",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
            b"\x1d\x00",
        ];
        for message in cases {
            let got: Vec<_> = fields(message).collect();
            assert!(matches!(got.as_slice(), [Err(_)]), "{message:?}: {got:?}");
        }
    }
}
