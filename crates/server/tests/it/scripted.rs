//! A gateway that answers as a test says, over TLS where that is asked for, or not at all: it then tells that somebody waits.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

/// A path's status and body; `None`: nothing, ever.
pub(crate) type Said = Option<(u16, &'static str)>;
type Answers = Arc<dyn Fn(&str) -> Said + Send + Sync>;

pub(crate) struct Scripted {
    pub(crate) address: String,
    /// Each path that is waited for in vain.
    pub(crate) waited_for: mpsc::Receiver<String>,
}

impl Scripted {
    pub(crate) fn plain(answers: impl Fn(&str) -> Said + Send + Sync + 'static) -> Self {
        Self::start(Arc::new(answers), None)
    }

    /// With the certificate of the authority that vouches for it.
    pub(crate) fn tls(answers: impl Fn(&str) -> Said + Send + Sync + 'static, folder: &Path) -> (Self, PathBuf) {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let certificate = certificate.signed_by(&key, &authority).unwrap().der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
        let path = folder.join("authority.pem");
        std::fs::write(&path, authority.pem()).unwrap();
        (Self::start(Arc::new(answers), Some(Arc::new(config))), path)
    }

    fn start(answers: Answers, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, waited_for) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (sender, tls, answers) = (sender.clone(), tls.clone(), answers.clone());
                std::thread::spawn(move || match tls {
                    None => answer(stream, &answers, &sender),
                    Some(config) => {
                        answer(StreamOwned::new(ServerConnection::new(config).unwrap(), stream), &answers, &sender);
                    }
                });
            }
        });
        Self { address, waited_for }
    }
}

trait Close {
    fn close(&mut self) {}
}

impl Close for TcpStream {}

impl Close for StreamOwned<ServerConnection, TcpStream> {
    fn close(&mut self) {
        self.conn.send_close_notify();
        drop(self.flush());
    }
}

fn answer(mut stream: impl Read + Write + Close, answers: &Answers, waited_for: &mpsc::Sender<String>) {
    let mut asked = Vec::new();
    let mut buffer = [0; 4_096];
    while !asked.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(read) if read > 0 => asked.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
    let asked = String::from_utf8(asked).unwrap();
    let path = asked.split(' ').nth(1).unwrap();
    match answers(path) {
        Some((status, body)) => {
            let length = body.len();
            let head = format!("HTTP/1.1 {status} Said\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            drop(stream.write_all(format!("{head}{body}").as_bytes()));
            stream.close();
        }
        None => {
            drop(waited_for.send(path.to_owned()));
            // Until whoever waits has gone.
            drop(stream.read(&mut buffer));
        }
    }
}
