//! Ed25519 signatures (RFC 8032) of a card, made and checked as OpenSSL does.
//!
//! `openssl genpkey -algorithm ed25519 -out key.pem` makes a key; `openssl pkeyutl -verify -pubin -inkey public.pem
//! -rawin -in card.json -sigfile card.json.sig` checks a signature.

use super::EvaluationError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use std::fmt;
use std::path::Path;

/// What an Ed25519 key in SubjectPublicKeyInfo begins with (RFC 8410, §4); its 32 bytes follow.
const PUBLIC_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A secret key.
pub struct SigningKey(Ed25519KeyPair);

/// Shows the public half only.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public())
    }
}

impl SigningKey {
    /// Reads a key in PKCS#8, PEM or DER.
    ///
    /// # Errors
    /// [`EvaluationError::Io`], [`EvaluationError::Key`].
    pub fn read(path: &Path) -> Result<Self, EvaluationError> {
        let bytes = std::fs::read(path).map_err(EvaluationError::io(path))?;
        let wrong = |reason: String| EvaluationError::Key { path: path.to_owned(), reason };
        let der = pem(&bytes, "PRIVATE KEY").unwrap_or(Ok(bytes)).map_err(wrong)?;
        // OpenSSL writes version 1 of PKCS#8, which has no public half to check against.
        let pair =
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|error| wrong(error.to_string()))?;
        Ok(Self(pair))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(key)
    }

    /// The signature of a message, 64 bytes.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

/// A public key. It is written as 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Reads 64 hexadecimal digits, or the key file that `openssl pkey -pubout` writes.
    ///
    /// # Errors
    /// [`EvaluationError::Io`], [`EvaluationError::Key`].
    pub fn read(text_or_file: &str) -> Result<Self, EvaluationError> {
        if let Some(key) = Self::from_hex(text_or_file) {
            return Ok(key);
        }
        let path = Path::new(text_or_file);
        let bytes = std::fs::read(path).map_err(EvaluationError::io(path))?;
        let wrong = |reason: &str| EvaluationError::Key { path: path.to_owned(), reason: reason.to_string() };
        if let Some(key) = std::str::from_utf8(&bytes).ok().and_then(|text| Self::from_hex(text.trim())) {
            return Ok(key);
        }
        let der = pem(&bytes, "PUBLIC KEY").unwrap_or(Ok(bytes)).map_err(|reason| wrong(&reason))?;
        let key = der.strip_prefix(PUBLIC_PREFIX.as_slice()).and_then(|key| key.try_into().ok());
        key.map(Self).ok_or_else(|| wrong("expected 64 hexadecimal digits or a public key in PEM or DER"))
    }

    /// The key of 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut key = [0; 32];
        for (byte, digits) in key.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self(key))
    }

    /// Whether the signature is this key's of the message.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The bytes between the lines of a PEM block (RFC 7468); `None` for a file that is none.
fn pem(bytes: &[u8], label: &str) -> Option<Result<Vec<u8>, String>> {
    let text = std::str::from_utf8(bytes).ok()?;
    if !text.trim_start().starts_with("-----BEGIN") {
        return None;
    }
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let body = text.split_once(&begin).and_then(|(_, rest)| rest.split_once(&end)).map(|(body, _)| body);
    let Some(body) = body else { return Some(Err(format!("no block `{label}` in it"))) };
    let digits: String = body.split_whitespace().collect();
    Some(STANDARD.decode(digits).map_err(|error| error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, §7.1, test 2.
    const PUBLIC: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    const SIGNATURE: &str = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn the_vector_of_the_standard_verifies_and_another_message_does_not() {
        let key = PublicKey::from_hex(PUBLIC).unwrap();
        assert_eq!(key.to_string(), PUBLIC);
        assert!(key.verifies(&[0x72], &bytes(SIGNATURE)));
        assert!(!key.verifies(&[0x73], &bytes(SIGNATURE)));
        assert!(!key.verifies(&[0x72], &bytes(SIGNATURE)[..63]));
        assert_eq!(PublicKey::from_hex(&PUBLIC[1..]), None);
    }
}
