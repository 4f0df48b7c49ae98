//! The operator's provisioner: what it is asked, and what becomes of each kind of answer.

use crate::raw::{Script, answer, listening, ok};
use domain::ports::token_source::SourceError;
use secrecy::ExposeSecret;
use uuid::Uuid;

async fn obtained(script: Script) -> (Result<Vec<String>, SourceError>, String) {
    let (url, seen) = listening(vec![script]).await;
    let source = upstream::provisioner(&format!("{url}/make"), Some("shown".to_owned().into())).unwrap();
    let tokens = source.obtain(3, Uuid::from_u128(7)).await;
    let secrets = tokens.map(|all| all.iter().map(|token| token.secret.expose_secret().to_owned()).collect());
    (secrets, seen.request(0).1.to_lowercase())
}

#[tokio::test]
async fn it_is_asked_for_a_number_under_a_request_of_its_own() {
    let (tokens, request) = obtained(ok(r#"{"tokens":[{"secret":"a"},{"secret":"b","max_concurrency":4}]}"#)).await;
    assert_eq!(tokens.unwrap(), ["a", "b"]);
    assert!(request.starts_with("post /make http/1.1"), "{request}");
    assert!(request.contains("authorization: bearer shown"), "{request}");
    assert!(request.contains(&format!("idempotency-key: {}", Uuid::from_u128(7))), "{request}");
    assert!(request.ends_with(r#"{"count":3}"#), "{request}");
}

#[tokio::test]
async fn no_answer_of_any_kind_repeats_a_secret() {
    for (script, expected) in [
        (ok(r#"{"tokens":[{"secrets":"hush"}]}"#), SourceError::Malformed("it is no list of tokens".into())),
        (
            answer("401 Unauthorized", "", r#"{"hush":1}"#),
            SourceError::Refused("it does not take the secret it is shown".into()),
        ),
        (answer("404 Not Found", "", "hush"), SourceError::Refused("there is nothing at its address".into())),
        (answer("503 Busy", "", "hush"), SourceError::Unavailable("it answered 503".into())),
    ] {
        assert_eq!(obtained(script).await.0.unwrap_err(), expected);
    }
}

#[test]
fn an_address_that_is_none_is_refused() {
    assert!(upstream::provisioner("ftp://host/", None).is_err());
    assert!(upstream::provisioner("http://user:word@host/", None).is_err());
}
