//! Somebody with a session: a browser without its pages.

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

/// Somebody with a cookie jar. Cheap to clone; clones are the same person in the same browser.
#[derive(Clone)]
pub(crate) struct Browser {
    pub(crate) name: String,
    /// Follows no redirect and keeps cookies.
    pub(crate) http: Client,
    jar: Arc<Jar>,
    address: SocketAddr,
}

impl Browser {
    /// A browser in which nobody has signed in yet.
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

    /// Picks a name as a browser without scripts does: with the plain form.
    pub(crate) async fn join(server: &Server, name: &str) -> Self {
        let person = Self::anonymous(server, name);
        let answer = person
            .post("/fn/pick-name", &[("name", name), ("next", "/chat")])
            .await;
        assert!(
            answer.status().is_redirection(),
            "{name} cannot join: {} {answer:?}",
            answer.status()
        );
        assert_eq!(answer.headers()["location"], "/chat");
        person
    }

    /// The same person in the same browser, at another node.
    pub(crate) fn at_node(&self, server: &Server) -> Self {
        self.at_address(server.address())
    }

    /// The same, by the node's address.
    pub(crate) fn at_address(&self, address: SocketAddr) -> Self {
        Self {
            address,
            ..self.clone()
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The browser's own way of asking, with its cookies.
    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The `Cookie` header that this browser sends.
    pub(crate) fn cookie(&self) -> Option<HeaderValue> {
        self.cookie_at("/")
    }

    /// The same, for an address within the site.
    pub(crate) fn cookie_at(&self, path: &str) -> Option<HeaderValue> {
        self.jar.cookies(&self.url(path).parse().unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        with_timeout(path, self.http.get(self.url(path)).send())
            .await
            .unwrap()
    }

    /// A page's HTML.
    pub(crate) async fn html(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.text().await.unwrap()
    }

    /// Submits a plain form.
    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Response {
        let request = self
            .http
            .post(self.url(path))
            .header(ACCEPT, "text/html")
            .form(form);
        with_timeout(path, request.send()).await.unwrap()
    }

    /// Submits a plain form that stands on a page. Where a browser is sent then: on failure back to that page, with the reason.
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
        let answer = with_timeout(path, request.send()).await.unwrap();
        let leads = location(&answer);
        leads
            .strip_prefix(&self.url(""))
            .unwrap_or(leads)
            .to_owned()
    }

    /// Asks a server function, as a page's scripts do.
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
        let answer = with_timeout(path, request.send()).await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status}: {text}");
        serde_json::from_str(&text).unwrap_or_else(|why| panic!("{path}: {why}: {text}"))
    }

    /// Opens a page: its WebSocket is connected and greeted.
    pub(crate) async fn connect(&self) -> WsClient {
        self.connect_with(HelloFrame::default()).await
    }

    /// Opens a page that greets in a certain way.
    pub(crate) async fn connect_with(&self, greeting: HelloFrame) -> WsClient {
        let mut ws = WsClient::open_socket(self).await;
        ws.exchange_hello(greeting).await;
        ws
    }
}

/// Where a redirect leads.
pub(crate) fn location(answer: &Response) -> &str {
    answer.headers()["location"].to_str().unwrap()
}
