//! The parts of a signature that a program which knows no XML can check, `openssl dgst -verify` for example.

use crate::key::Algorithm;

/// The canonical bytes that a signature is about, and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Canonical `SignedInfo`: the bytes that were signed. It states the digests of the document and of the signed
    /// properties, in base 64.
    pub signed_info: Vec<u8>,
    /// Canonical `SignedProperties`: they state the signing time and the digest of the certificate.
    pub properties: Vec<u8>,
    /// The value as it stands in the document: RSA as it is, ECDSA as r and s side by side.
    pub value: Vec<u8>,
}

impl Proof {
    /// The value as everybody but XML writes it: RSA as it is, ECDSA as a DER sequence of r and s.
    #[must_use]
    pub fn value_der(&self, algorithm: Algorithm) -> Vec<u8> {
        match algorithm {
            Algorithm::RsaSha256 => self.value.clone(),
            Algorithm::EcdsaP256Sha256 | Algorithm::EcdsaP384Sha384 => {
                let (r, s) = self.value.split_at(self.value.len() / 2);
                let numbers = [integer(r), integer(s)].concat();
                tagged(0x30, &numbers)
            }
        }
    }

    /// The hash that the value is about, as `openssl dgst` names it.
    #[must_use]
    pub fn hash_name(algorithm: Algorithm) -> &'static str {
        match algorithm {
            Algorithm::RsaSha256 | Algorithm::EcdsaP256Sha256 => "sha256",
            Algorithm::EcdsaP384Sha384 => "sha384",
        }
    }
}

/// A positive number: no leading zeros, but one where the first bit would say "negative".
fn integer(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count().min(bytes.len().saturating_sub(1));
    let mut digits = bytes[zeros..].to_vec();
    if digits.first().is_none_or(|first| *first >= 0x80) {
        digits.insert(0, 0);
    }
    tagged(0x02, &digits)
}

/// Both curves stay below 128 bytes, where the length is one byte.
fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
    [&[tag, length], content].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_they_can_be_and_positive() {
        assert_eq!(integer(&[0, 0, 5]), [2, 1, 5]);
        assert_eq!(integer(&[0, 0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[0, 0]), [2, 1, 0]);
        let proof = Proof { signed_info: Vec::new(), properties: Vec::new(), value: vec![0, 1, 0xff, 2] };
        assert_eq!(proof.value_der(Algorithm::EcdsaP256Sha256), [0x30, 8, 2, 1, 1, 2, 3, 0, 0xff, 2]);
        assert_eq!(proof.value_der(Algorithm::RsaSha256), [0, 1, 0xff, 2]);
    }
}
