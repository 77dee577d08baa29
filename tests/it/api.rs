//! `/api/v1` over TCP: the same as over the control socket, for whoever has the token.

use reqwest::Method;

use crate::harness::Office;
use crate::web::{Browser, MINUTE, Page, STEP, TOKEN, office, office_with_token};

async fn ask(office: &Office, method: Method, path: &str, token: Option<&str>) -> Page {
    let mut browser = Browser::new(office);
    let mut request = browser.request(method, path);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    browser.send(request).await
}

#[tokio::test]
async fn whoever_has_the_token_reads_and_acts_as_on_the_command_line() {
    let office = office_with_token();
    office.once().await;
    let running = office.run().await;
    office.miss("c1");
    office.pass(&running, 2 * MINUTE, STEP).await;
    let get = async |path: &str| ask(&office, Method::GET, path, Some(TOKEN)).await;

    let events = get("/api/v1/events?open=true").await;
    assert_eq!((events.status, events.header("content-type")), (200, "application/json"));
    let events = events.json();
    assert_eq!((&events["total"], &events["events"][0]["uuid"]), (&1.into(), &"c1".into()));
    assert_eq!(events["events"][0]["caller"]["display"], "0312 *** ** 67", "masked unless it is asked for");
    assert_eq!(get("/api/v1/events?reveal=true").await.json()["events"][0]["caller"]["display"], "0312 123 45 67");
    let deliveries = get("/api/v1/deliveries?state=delivered").await.json();
    assert_eq!(deliveries["deliveries"][0]["channel"], "crm");

    let id = events["events"][0]["id"].as_str().unwrap();
    let mut browser = Browser::new(&office);
    let close = browser.request(Method::POST, &format!("/api/v1/events/{id}/close"));
    let note = serde_json::json!({"note": "called from a mobile"});
    let closed = browser
        .send(close.bearer_auth(TOKEN).header("Content-Type", "application/json").body(note.to_string()))
        .await
        .json();
    assert_eq!((&closed["event"]["standing"], &closed["event"]["note"]), (&"closed by hand".into(), &note["note"]));
    assert_eq!(get("/api/v1/events?open=true").await.json()["total"], 0);

    assert_eq!(get(&format!("/api/v1/deliveries/{}", "0".repeat(32))).await.status, 404);
    assert_eq!(get("/api/v1/deliveries/xyz").await.status, 400);
    assert_eq!(get("/api/v1/events?colour=red").await.status, 400);
    for (method, path, status) in [
        (Method::GET, "/api/v1/nothing", 404),
        (Method::GET, "/api/v1", 404),
        (Method::DELETE, "/api/v1/events", 405),
        (Method::GET, "/api/v1/deliveries/retry", 405),
    ] {
        let answer = ask(&office, method.clone(), path, Some(TOKEN)).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        assert!(answer.json()["error"].is_string(), "{method} {path}");
    }
    running.stop().await;
}

#[tokio::test]
async fn without_a_token_in_the_configuration_the_api_is_closed_and_says_what_to_set() {
    let office = office("token: null");
    let running = office.run().await;
    for path in ["/api/v1/events", "/api/v1/deliveries", "/api/v1/nothing"] {
        for token in [None, Some(TOKEN), Some("")] {
            let answer = ask(&office, Method::GET, path, token).await;
            assert_eq!(answer.status, 403, "{path} {token:?}");
            assert!(answer.json()["error"].as_str().unwrap().contains("`http.token`"), "{}", answer.body);
        }
    }
    running.stop().await;
}

#[tokio::test]
async fn a_wrong_token_is_refused_and_ten_of_them_put_off_the_next_but_never_the_right_one() {
    let office = office_with_token();
    let running = office.run().await;
    let status = async |token| ask(&office, Method::GET, "/api/v1/events", token).await.status;
    let missing = ask(&office, Method::GET, "/api/v1/events", None).await;
    assert_eq!((missing.status, missing.header("www-authenticate")), (401, "Bearer realm=\"ringback\""));
    for wrong in ["a-token-for-the-test", "a-token-for-the-tests!", "A-token-for-the-tests"] {
        assert_eq!(status(Some(wrong)).await, 401, "{wrong}");
    }
    for _ in 0..7 {
        assert_eq!(status(Some("wrong")).await, 401);
    }
    let put_off = ask(&office, Method::GET, "/api/v1/events", Some("wrong")).await;
    assert_eq!((put_off.status, put_off.header("retry-after")), (429, "60"));
    assert_eq!(status(None).await, 429);
    assert_eq!(status(Some(TOKEN)).await, 200, "whoever has the token is not kept out by others");
    office.clock.advance(MINUTE);
    assert_eq!(status(Some("wrong")).await, 401);
    running.stop().await;
}

#[tokio::test]
async fn the_token_of_a_new_configuration_is_in_force_at_once() {
    let mut office = office_with_token();
    let running = office.run().await;
    let status = async |office: &Office, token| ask(office, Method::GET, "/api/v1/events", Some(token)).await.status;
    assert_eq!(status(&office, TOKEN).await, 200);
    office.http = ", token: another-token-for-the-tests".to_owned();
    running.reload(office.config()).await.unwrap();
    assert_eq!(status(&office, TOKEN).await, 401);
    assert_eq!(status(&office, "another-token-for-the-tests").await, 200);
    running.stop().await;
}
