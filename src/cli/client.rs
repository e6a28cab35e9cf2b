//! A small HTTP/1.1 client of the admin API.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::Method;
use hyper::Request;
use hyper::StatusCode;
use hyper::Uri;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::args;
use super::exit::Exit;
use super::exit::Failure;

/// How long a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How long an answer's head may take, and how long its body may stand still.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// How long the head may take where every order is read first: `verify` looks twice at what is under way.
const LONG_ANSWER_MAX: Duration = Duration::from_secs(300);

/// Where the admin API is, and who asks.
#[derive(Debug)]
pub(super) struct Client {
    authority: String,
    token: Option<String>,
    head_max: Duration,
    gap_max: Duration,
}

/// An answer of the admin API that is no refusal.
#[derive(Debug)]
pub(super) struct Answer {
    /// As it came.
    pub(super) text: String,
    /// As it is read.
    pub(super) value: Value,
}

impl Client {
    /// A client for the flags of a command.
    ///
    /// # Errors
    /// When the URL or the token file cannot be used.
    pub(super) fn new(admin: &args::Admin) -> Result<Self, Failure> {
        let authority = authority(&admin.url())?;
        let token = admin.token_file().as_deref().map(token).transpose()?;
        Ok(Self { authority, token, head_max: ANSWER_MAX, gap_max: ANSWER_MAX })
    }

    /// The client for an answer that takes long, of a gateway that was just seen to be alive.
    ///
    /// # Errors
    /// When it is not.
    pub(super) fn patient(self) -> Result<Self, Failure> {
        self.stream(Method::GET, "/livez", None, |_| Ok(()))?;
        Ok(Self { head_max: LONG_ANSWER_MAX, ..self })
    }

    /// Reads a document.
    ///
    /// # Errors
    /// When the gateway cannot be reached, or refuses.
    pub(super) fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.call(Method::GET, path, None)
    }

    /// Changes something.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) fn change(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Answer, Failure> {
        self.call(method, path, Some(body.to_string()))
    }

    fn call(&self, method: Method, path: &str, body: Option<String>) -> Result<Answer, Failure> {
        let mut text = Vec::new();
        self.stream(method, path, body, |part| {
            text.extend_from_slice(part);
            Ok(())
        })?;
        let text = String::from_utf8(text).map_err(|_| self.strange())?;
        let value = serde_json::from_str(&text).map_err(|_| self.strange())?;
        Ok(Answer { text, value })
    }

    /// Hands on the parts of an answer as they come.
    ///
    /// # Errors
    /// As [`Client::get`], and when a part cannot be taken.
    pub(super) fn stream(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        part: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.exchange(method, path, body, part))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        mut part: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), Failure> {
        let stream = tokio::time::timeout(CONNECT_MAX, TcpStream::connect(&self.authority))
            .await
            .map_err(|_| self.away("it does not answer"))?
            .map_err(|error| self.away(&error.to_string()))?;
        let (mut sender, connection) = http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream))
            .await
            .map_err(|error| self.away(&error.to_string()))?;
        // Its end shows in the answer's body.
        tokio::spawn(connection);
        let request = self.request(method, path, body)?;
        let answer = tokio::time::timeout(self.head_max, sender.send_request(request))
            .await
            .map_err(|_| self.stuck(self.head_max))?
            .map_err(|error| self.away(&error.to_string()))?;
        let status = answer.status();
        let mut body = answer.into_body();
        if !status.is_success() {
            return Err(self.refusal(status, body).await);
        }
        loop {
            let next = tokio::time::timeout(self.gap_max, body.frame()).await;
            let Some(frame) = next.map_err(|_| self.stuck(self.gap_max))? else { return Ok(()) };
            let frame =
                frame.map_err(|error| self.away(&format!("the answer broke off: {error}")))?;
            if let Some(bytes) = frame.data_ref() {
                part(bytes)?;
            }
        }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.authority)
            .header(header::CONNECTION, "close");
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        request.body(Full::new(Bytes::from(body.unwrap_or_default()))).map_err(|error| {
            Failure::new(Exit::Usage, format!("the request cannot be made: {error}"))
        })
    }

    fn away(&self, cause: &str) -> Failure {
        let message = format!(
            "the admin API at http://{} cannot be reached: {cause}. Is `forebay serve` running? --admin \
             names another address",
            self.authority
        );
        Failure::new(Exit::Dependency, message)
    }

    fn stuck(&self, waited: Duration) -> Failure {
        let message = format!(
            "the admin API at http://{} does not answer, for {} s now: see the log of the process there, and \
             whether it is stopped. A change that was asked for may have been made",
            self.authority,
            waited.as_secs_f64()
        );
        Failure::new(Exit::Dependency, message)
    }

    fn strange(&self) -> Failure {
        let message = format!("http://{} does not answer as Forebay does", self.authority);
        Failure::new(Exit::Failed, message)
    }

    /// What a problem document says.
    async fn refusal(&self, status: StatusCode, body: Incoming) -> Failure {
        let Ok(body) = tokio::time::timeout(self.gap_max, body.collect()).await else {
            return self.stuck(self.gap_max);
        };
        let bytes = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let problem: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let text = |key: &str| problem.get(key).and_then(Value::as_str).unwrap_or_default();
        let message = match (status, text("code"), text("detail")) {
            // Only paths and methods that the admin listener has are asked for.
            (StatusCode::NOT_FOUND, "" | "not_found", _)
            | (StatusCode::METHOD_NOT_ALLOWED, _, _) => format!(
                "http://{} is not an admin listener: --admin takes the address of [admin] listen, which \
                 `forebay serve` prints after `admin`",
                self.authority
            ),
            (StatusCode::UNAUTHORIZED, _, _) => {
                let wrong = if self.token.is_some() {
                    "the token is not known there"
                } else {
                    "a token is needed"
                };
                format!(
                    "refused: {wrong}: --token-file or FOREBAY_TOKEN_FILE names a file with one of its tokens"
                )
            }
            (_, "", _) => format!("refused: {status}"),
            (_, code, "") => format!("refused: {status}, {code}"),
            (_, code, detail) => format!("refused: {code}: {detail}"),
        };
        Failure::new(Exit::Failed, message)
    }
}

fn authority(url: &str) -> Result<String, Failure> {
    let usage = |message: String| Failure::new(Exit::Usage, message);
    let uri: Uri = url.parse().map_err(|error| usage(format!("--admin {url}: {error}")))?;
    if uri.scheme_str() != Some("http") || !matches!(uri.path(), "" | "/") {
        return Err(usage(format!("--admin {url}: write http://HOST:PORT")));
    }
    let authority = uri.authority().ok_or_else(|| usage(format!("--admin {url}: no host")))?;
    if authority.as_str().contains('@') {
        return Err(usage(
            "--admin: a password in the address is not used: --token-file".to_owned(),
        ));
    }
    let port = authority.port_u16().unwrap_or(80);
    Ok(format!("{}:{port}", authority.host()))
}

fn token(path: &Path) -> Result<String, Failure> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(Exit::Usage, format!("--token-file {name}: {error}")))?;
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    let line =
        line.ok_or_else(|| Failure::new(Exit::Usage, format!("--token-file {name}: is empty")))?;
    Ok(line.split_once(':').map_or(line, |(_, token)| token).to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// What becomes of a request to a listener that answers so and then stands still.
    fn asked(answer: &'static str) -> Failure {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let silent = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // An answer before its question would be none.
            let mut question = Vec::new();
            while !question.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                question.extend(byte);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            // Until the client goes away.
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let wait = Duration::from_millis(50);
        let client = Client { authority, token: None, head_max: wait, gap_max: wait };
        let failure = client.get("/admin/v1/sales").unwrap_err();
        silent.join().unwrap();
        failure
    }

    #[test]
    fn a_gateway_that_stands_still_is_waited_for_so_long_and_no_longer() {
        for answer in [
            "",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
            "HTTP/1.1 409 Conflict\r\nContent-Length: 9\r\n\r\n{",
        ] {
            let failure = asked(answer);
            assert_eq!(failure.exit, Exit::Dependency, "{answer}");
            assert!(failure.message.contains("does not answer"), "{answer}: {failure}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        for (answer, said) in [
            (
                "HTTP/1.1 404 Not Found\r\nContent-Length: 20\r\n\r\n{\"code\":\"not_found\"}",
                "is not an admin listener",
            ),
            ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "is not an admin listener"),
            (
                "HTTP/1.1 404 Not Found\r\nContent-Length: 23\r\n\r\n{\"code\":\"unknown_sale\"}",
                "unknown_sale",
            ),
            ("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "FOREBAY_TOKEN_FILE"),
        ] {
            let failure = asked(answer);
            assert_eq!(failure.exit, Exit::Failed, "{answer}");
            assert!(failure.message.contains(said), "{answer}: {failure}");
        }
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        assert_eq!(authority("http://127.0.0.1:9180").unwrap(), "127.0.0.1:9180");
        assert_eq!(authority("http://[::1]:9180/").unwrap(), "[::1]:9180");
        assert_eq!(authority("http://gateway").unwrap(), "gateway:80");
        for url in ["https://a", "127.0.0.1:9180", "http://a/b", "http://u:p@a", ""] {
            assert_eq!(authority(url).unwrap_err().exit, Exit::Usage, "{url}");
        }
    }

    #[test]
    fn a_token_file_is_a_line_of_the_gateways_or_a_bare_token() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        for (text, token) in [("# mine\nann:s3cret\n", "s3cret"), ("s3cret\r\n", "s3cret")] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(super::token(&path).unwrap(), token);
        }
        std::fs::write(&path, "\n").unwrap();
        assert_eq!(super::token(&path).unwrap_err().exit, Exit::Usage);
    }
}
