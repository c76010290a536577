//! An HTTP client with a session.

use super::{HelloFrame, Server, WsClient, with_timeout};
use reqwest::{
    Client, Response,
    cookie::{CookieStore, Jar},
    header::{ACCEPT, HeaderValue, REFERER},
    redirect::Policy,
};
use rialto::server::tls;
use serde::{Serialize, de::DeserializeOwned};
use std::{net::SocketAddr, sync::Arc};

/// Clones share the cookie jar.
#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) name: String,
    /// Follows no redirects and stores cookies.
    pub(crate) http: Client,
    jar: Arc<Jar>,
    address: SocketAddr,
}

impl Browser {
    /// Without a session. `name` is not sent.
    pub(crate) fn anonymous(server: &Server, name: &str) -> Self {
        let jar = Arc::<Jar>::default();
        tls::install_crypto_provider();
        let http = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .cookie_provider(jar.clone());
        Self {
            name: name.to_owned(),
            http: http.build().unwrap(),
            jar,
            address: server.address(),
        }
    }

    /// With the plain HTML form, as without JavaScript.
    pub(crate) async fn join(server: &Server, name: &str) -> Self {
        let browser = Self::anonymous(server, name);
        let response = browser
            .post("/fn/pick-name", &[("name", name), ("next", "/chat")])
            .await;
        assert!(
            response.status().is_redirection(),
            "{name} cannot join: {} {response:?}",
            response.status()
        );
        assert_eq!(response.headers()["location"], "/chat");
        browser
    }

    /// The same session at another node.
    pub(crate) fn at_node(&self, server: &Server) -> Self {
        self.at_address(server.address())
    }

    pub(crate) fn at_address(&self, address: SocketAddr) -> Self {
        Self {
            address,
            ..self.clone()
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn cookie(&self) -> Option<HeaderValue> {
        self.cookie_at("/")
    }

    pub(crate) fn cookie_at(&self, path: &str) -> Option<HeaderValue> {
        self.jar.cookies(&self.url(path).parse().unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        with_timeout(path, self.http.get(self.url(path)).send())
            .await
            .unwrap()
    }

    pub(crate) async fn html(&self, path: &str) -> String {
        let response = self.get(path).await;
        assert!(
            response.status().is_success(),
            "{path}: {}",
            response.status()
        );
        response.text().await.unwrap()
    }

    /// As a form without JavaScript.
    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Response {
        let request = self
            .http
            .post(self.url(path))
            .header(ACCEPT, "text/html")
            .form(form);
        with_timeout(path, request.send()).await.unwrap()
    }

    /// With a page's `Referer`. Returns the redirect's target: on failure that page, with the error.
    pub(crate) async fn submit_form(
        &self,
        page: &str,
        path: &str,
        form: &[(&str, &str)],
    ) -> String {
        let request = self
            .http
            .post(self.url(path))
            .header(ACCEPT, "text/html")
            .header(REFERER, self.url(page))
            .form(form);
        let response = with_timeout(path, request.send()).await.unwrap();
        let target = location(&response);
        target
            .strip_prefix(&self.url(""))
            .unwrap_or(target)
            .to_owned()
    }

    /// As the hydrated page does.
    pub(crate) async fn call_server_fn<T: DeserializeOwned>(
        &self,
        path: &str,
        arguments: &(impl Serialize + ?Sized),
    ) -> T {
        let request = self
            .http
            .post(self.url(path))
            .header(ACCEPT, "application/json")
            .form(arguments);
        let response = with_timeout(path, request.send()).await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|why| panic!("{path}: {why}: {text}"))
    }

    /// Opens a WebSocket; exchanges hello and welcome.
    pub(crate) async fn connect(&self) -> WsClient {
        self.connect_with(HelloFrame::default()).await
    }

    pub(crate) async fn connect_with(&self, hello: HelloFrame) -> WsClient {
        let mut ws = WsClient::open_socket(self).await;
        ws.exchange_hello(hello).await;
        ws
    }
}

pub(crate) fn location(response: &Response) -> &str {
    response.headers()["location"].to_str().unwrap()
}
