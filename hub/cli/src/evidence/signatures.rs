//! The signatures of a document, taken apart for openssl.

use transform_sign::verify::{Proof, Verified, verify_all};
use transform_xml::Limits;

use super::package::{Package, pem};

/// Writes one folder for each signature of a document. A document without signatures, or with those of another profile, has
/// none: what is not understood is not claimed.
pub(super) fn write(package: &mut Package, file: &str, bytes: &[u8]) -> anyhow::Result<()> {
    if !bytes.windows(9).any(|window| window == b"Signature") {
        return Ok(());
    }
    let limits = Limits::default().with_bytes_max(bytes.len().max(1));
    let Ok(signatures) = verify_all(bytes, &limits) else { return Ok(()) };
    let name = file.replace('/', "-");
    for (number, signature) in (1..).zip(&signatures) {
        one(package, &format!("signatures/{name}-{number}"), file, signature)?;
    }
    Ok(())
}

fn one(package: &mut Package, folder: &str, file: &str, signature: &Verified) -> anyhow::Result<()> {
    let Verified { content, signing_time, certificate, algorithm, id, proof } = signature;
    package.bytes(&format!("{folder}/document.c14n"), content)?;
    package.bytes(&format!("{folder}/properties.c14n"), &proof.properties)?;
    package.bytes(&format!("{folder}/signedinfo.c14n"), &proof.signed_info)?;
    package.bytes(&format!("{folder}/signature.bin"), &proof.value_der(*algorithm))?;
    package.text(&format!("{folder}/certificate.pem"), &pem("CERTIFICATE", certificate.der()))?;
    package.text(&format!("{folder}/hash"), &format!("{}\n", Proof::hash_name(*algorithm)))?;
    let about = format!(
        "document   {file}\nsignature  {id}\nsigned at  {signing_time} (as the signer says)\nsigner     {}\nalgorithm  {}\n",
        certificate.subject(),
        algorithm.name()
    );
    package.text(&format!("{folder}/about.txt"), &about)
}
