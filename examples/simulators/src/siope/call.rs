//! The paths of the API: which call a request is.

use hyper::Method;

use super::answer::Refusal;

/// What is listed and downloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ack,
    EsitoFlusso,
    EsitoApplicativo,
    Giornale,
    Disponibilita,
}

/// One call of the Ente's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Upload,
    List(Kind),
    Download(Kind, u64),
}

/// A call, on whose behalf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// `/v1` or nothing: what the caller put before the API, so that locations lead back.
    pub(crate) base: &'static str,
    pub(crate) id_a2a: String,
    pub(crate) ente: String,
    pub(crate) call: Call,
}

/// Reads method and path, with or without `/v1` in front and a slash at the end. Literals win over `{progFlusso}`.
pub(crate) fn parse(method: &Method, path: &str) -> Result<Target, Refusal> {
    let (base, rest) = match path.strip_prefix("/v1/") {
        Some(rest) => ("/v1", rest),
        None => ("", path.strip_prefix('/').unwrap_or(path)),
    };
    let segments: Vec<&str> = rest.strip_suffix('/').unwrap_or(rest).split('/').collect();
    let [id_a2a, "PA", ente, call @ ..] = segments.as_slice() else {
        return Err(Refusal::new(404, "no such path"));
    };
    if !is_a2a(id_a2a) || !is_ente(ente) {
        return Err(Refusal::new(400, "idA2A must be A2A- and 8 digits, codEnte 6 capitals or digits"));
    }
    let call = read_call(method, call)?;
    Ok(Target { base, id_a2a: (*id_a2a).to_owned(), ente: (*ente).to_owned(), call })
}

fn read_call(method: &Method, segments: &[&str]) -> Result<Call, Refusal> {
    let banks = || Err(Refusal::new(401, "this call belongs to the treasurer bank, not to the body"));
    let get = match segments {
        ["flusso"] if *method == Method::POST => return Ok(Call::Upload),
        ["flusso"] => return banks(),
        ["flusso", "ack"] => Call::List(Kind::Ack),
        ["flusso", "esitoflusso"] => Call::List(Kind::EsitoFlusso),
        ["flusso", "esitoflusso", "ack"] => return banks(),
        ["flusso", prog, "ack"] => Call::Download(Kind::Ack, number(prog)?),
        ["flusso", prog, "esitoflusso"] => Call::Download(Kind::EsitoFlusso, number(prog)?),
        ["flusso", _] | ["flusso", _, "esitoflusso", "ack"] => return banks(),
        ["esitoapplicativo"] => Call::List(Kind::EsitoApplicativo),
        ["giornale"] => Call::List(Kind::Giornale),
        ["disponibilita"] => Call::List(Kind::Disponibilita),
        ["esitoapplicativo" | "giornale" | "disponibilita", "ack"] => return banks(),
        ["esitoapplicativo" | "giornale" | "disponibilita", _, "ack"] => return banks(),
        ["esitoapplicativo", prog] => Call::Download(Kind::EsitoApplicativo, number(prog)?),
        ["giornale", prog] => Call::Download(Kind::Giornale, number(prog)?),
        ["disponibilita", prog] => Call::Download(Kind::Disponibilita, number(prog)?),
        _ => return Err(Refusal::new(404, "no such path")),
    };
    match *method {
        Method::GET => Ok(get),
        Method::POST => banks(),
        _ => Err(Refusal::new(405, "only GET and POST are known here")),
    }
}

fn number(text: &str) -> Result<u64, Refusal> {
    let plain = !text.is_empty() && text.len() <= 19 && text.bytes().all(|b| b.is_ascii_digit());
    let number = if plain { text.parse().ok() } else { None };
    number.ok_or_else(|| Refusal::new(404, "no such document"))
}

fn is_a2a(text: &str) -> bool {
    text.strip_prefix("A2A-").is_some_and(|rest| rest.len() == 8 && rest.bytes().all(|b| b.is_ascii_digit()))
}

fn is_ente(text: &str) -> bool {
    text.len() == 6 && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(method: &Method, rest: &str) -> Result<Call, u16> {
        parse(method, &format!("/A2A-00000001/PA/UFAAAA/{rest}")).map(|t| t.call).map_err(|r| r.status)
    }

    #[test]
    fn literals_win_and_slashes_do_not_matter() {
        for (path, expected) in [
            ("flusso/ack", Call::List(Kind::Ack)),
            ("flusso/ack/", Call::List(Kind::Ack)),
            ("flusso/esitoflusso/", Call::List(Kind::EsitoFlusso)),
            ("flusso/12/ack", Call::Download(Kind::Ack, 12)),
            ("flusso/12/esitoflusso/", Call::Download(Kind::EsitoFlusso, 12)),
            ("esitoapplicativo", Call::List(Kind::EsitoApplicativo)),
            ("esitoapplicativo/3/", Call::Download(Kind::EsitoApplicativo, 3)),
            ("giornale/", Call::List(Kind::Giornale)),
            ("disponibilita/9", Call::Download(Kind::Disponibilita, 9)),
        ] {
            assert_eq!(call(&Method::GET, path), Ok(expected), "{path}");
        }
        assert_eq!(call(&Method::POST, "flusso/"), Ok(Call::Upload));
        let with_base = parse(&Method::POST, "/v1/A2A-00000001/PA/UFAAAA/flusso").unwrap();
        assert_eq!((with_base.base, with_base.call), ("/v1", Call::Upload));
    }

    #[test]
    fn what_does_not_belong_here_is_refused() {
        for (method, path, status) in [
            (Method::GET, "flusso", 401),
            (Method::GET, "flusso/12", 401),
            (Method::POST, "flusso/12/esitoflusso", 401),
            (Method::GET, "flusso/esitoflusso/ack", 401),
            (Method::GET, "flusso/x1/ack", 404),
            (Method::GET, "boh", 404),
            (Method::DELETE, "giornale", 405),
        ] {
            assert_eq!(call(&method, path), Err(status), "{method} {path}");
        }
        for path in ["/A2A-1/PA/UFAAAA/giornale", "/A2A-00000001/PA/ufaaaa/giornale"] {
            assert_eq!(parse(&Method::GET, path).unwrap_err().status, 400, "{path}");
        }
        assert_eq!(parse(&Method::GET, "/A2A-00000001/BT/01234/flusso").unwrap_err().status, 404);
    }
}
