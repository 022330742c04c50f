//! Gives an OAUTHBEARER token to a client of librdkafka.
//!
//! rdkafka asks its context for tokens only where somebody polls the client, and nobody can poll an admin client: with
//! OAUTHBEARER it would never come to a connection. The C library takes a token at any time; this is that call.

use std::ffi::CString;

use rdkafka::ClientContext;
use rdkafka::bindings::rd_kafka_oauthbearer_set_token;
use rdkafka::client::{Client, OAuthToken};
use rdkafka::types::RDKafkaRespErr;

/// Room for the C library's words.
const WORDS: usize = 512;

/// Hands a token over; the client uses it for its next connections, until it expires or another one is handed over.
///
/// # Errors
/// What the library says: the token has expired, has bytes that no token has, or the client's mechanism is another one.
#[allow(unsafe_code)]
pub fn hand_over<C: ClientContext>(client: &Client<C>, token: OAuthToken) -> Result<(), String> {
    let text = |text: String| CString::new(text).map_err(|_| "a token has no byte 0".to_owned());
    let (value, principal) = (text(token.token)?, text(token.principal_name)?);
    let mut words = [0u8; WORDS];
    // SAFETY: the client outlives the call; both texts end with 0 and are copied; there are no extensions (null, 0); the
    // library writes at most WORDS bytes, the last one a 0, and takes the token under a lock of its own.
    let code = unsafe {
        rd_kafka_oauthbearer_set_token(
            client.native_ptr(),
            value.as_ptr(),
            token.lifetime_ms,
            principal.as_ptr(),
            std::ptr::null_mut(),
            0,
            words.as_mut_ptr().cast(),
            WORDS,
        )
    };
    match code {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        _ => Err(words.iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte)).collect()),
    }
}
