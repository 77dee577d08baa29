//! A browser without a screen: requests over a real socket, with cookies and forms.

use std::collections::HashMap;
use std::time::Duration;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Method, RequestBuilder};

use crate::harness::{Office, PATIENCE, free_port};

/// The token of the offices here.
pub(crate) const TOKEN: &str = "a-token-for-the-tests";

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: String,
}

impl Page {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The value of the first hidden field of this name.
    pub(crate) fn hidden(&self, name: &str) -> String {
        let mark = format!("name=\"{name}\" value=\"");
        let (_, rest) = self.body.split_once(&mark).unwrap_or_else(|| panic!("no {name} in\n{}", self.body));
        rest.split('"').next().unwrap().to_owned()
    }
}

/// Keeps the cookie of the session; follows no redirection.
pub(crate) struct Browser {
    address: String,
    client: reqwest::Client,
    pub(crate) cookie: Option<String>,
    pub(crate) headers: HashMap<&'static str, String>,
}

impl Browser {
    pub(crate) fn new(office: &Office) -> Self {
        Self::at(&office.listen)
    }

    /// Of a server at this address and port.
    pub(crate) fn at(address: &str) -> Self {
        let client = ringback::http::client(4).unwrap();
        Self { address: address.to_owned(), client, cookie: None, headers: HashMap::new() }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.client.request(method, format!("http://{}{path}", self.address));
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, format!("ringback_session={cookie}"));
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        request
    }

    pub(crate) async fn send(&mut self, request: RequestBuilder) -> Page {
        let answer = ringback::http::exchange(request, 1 << 20, PATIENCE).await.unwrap();
        let page = Page { status: answer.status.as_u16(), body: answer.text_lossy(), headers: answer.headers };
        if let Some(cookie) = page.headers.get(SET_COOKIE) {
            let (_, value) = cookie.to_str().unwrap().split_once("ringback_session=").unwrap();
            self.cookie = Some(value.split(';').next().unwrap().to_owned()).filter(|value| !value.is_empty());
        }
        page
    }

    pub(crate) async fn get(&mut self, path: &str) -> Page {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.send(self.request(Method::POST, path).form(fields)).await
    }

    /// Posts a form, and gives the page that it leads to.
    pub(crate) async fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let answer = self.post(path, fields).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        let next = answer.headers[LOCATION].to_str().unwrap().to_owned();
        self.get(&next).await
    }

    pub(crate) async fn log_in(&mut self) -> Page {
        self.submit("/login", &[("token", TOKEN)]).await
    }
}

/// An office with a server that can be asked; without a route to Slack, which is slower.
pub(crate) fn office(http: &str) -> Office {
    let mut office = Office::new();
    office.listen = format!("127.0.0.1:{}", free_port());
    "[{notify: crm}]".clone_into(&mut office.routes);
    office.http = format!(", {http}");
    office
}

/// With a token, and nothing else.
pub(crate) fn office_with_token() -> Office {
    office(&format!("token: {TOKEN}"))
}

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const STEP: Duration = Duration::from_secs(10);
