//! The control socket as its users meet it: several at once, clumsy ones, slow ones, strangers.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use support::{Phone as Whole, connect, friends};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;
use twocan::api::{
    Command, Done, Event, Message, Refusal, Reply, Request, Stamped, Switch, Trouble,
};
use twocan::control::{Client, ClientError, ConnectError, Link, MAX_CLIENTS, Server, ServerError};

/// A server whose phone answers `Mute` with nothing, refuses everything else, and tells every
/// client what it is told to tell.
struct Phone {
    home: TempDir,
    news: broadcast::Sender<String>,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
}

impl Phone {
    fn start() -> Phone {
        let home = TempDir::new().expect("a directory");
        let server = Server::bind(&home.path().join("control.sock")).expect("a socket");
        let (news, _) = broadcast::channel(1000);
        let (stop, stopped) = oneshot::channel();
        let connect = {
            let news = news.clone();
            move || link(news.subscribe())
        };
        let server = tokio::spawn(server.run(connect, async {
            let _ = stopped.await;
        }));
        Phone {
            home,
            news,
            stop: Some(stop),
            server,
        }
    }

    fn socket(&self) -> PathBuf {
        self.home.path().join("control.sock")
    }

    async fn client(&self) -> Client {
        Client::connect(&self.socket())
            .await
            .expect("the phone runs")
    }

    async fn raw(&self) -> BufReader<UnixStream> {
        BufReader::new(
            UnixStream::connect(self.socket())
                .await
                .expect("the phone runs"),
        )
    }
}

fn link(mut news: broadcast::Receiver<String>) -> Link {
    let (requests, mut asked) = mpsc::channel::<Request>(8);
    let (answers, messages) = mpsc::channel(8);
    tokio::spawn(async move {
        loop {
            let message = tokio::select! {
                request = asked.recv() => match request {
                    Some(request) => Message::Reply(answer(request)),
                    None => return,
                },
                news = news.recv() => match news {
                    Ok(why) => Message::Event(error(&why)),
                    Err(_) => return,
                },
            };
            if answers.send(message).await.is_err() {
                return;
            }
        }
    });
    (requests, messages)
}

fn answer(request: Request) -> Reply {
    let result = match request.command {
        Command::Mute { .. } => Ok(Done::Nothing),
        _ => Err(Refusal {
            trouble: Trouble::NotNow,
            why: "no".to_owned(),
        }),
    };
    Reply {
        reply: request.id,
        result,
    }
}

fn error(why: &str) -> Stamped {
    Stamped {
        event: Event::Error {
            why: why.to_owned(),
        },
        at: jiff::Timestamp::UNIX_EPOCH,
    }
}

async fn say(stream: &mut BufReader<UnixStream>, bytes: &[u8]) {
    stream.write_all(bytes).await.expect("the phone reads");
}

async fn reply(stream: &mut BufReader<UnixStream>) -> Reply {
    let mut line = String::new();
    stream.read_line(&mut line).await.expect("a line");
    match serde_json::from_str(&line).expect("a message") {
        Message::Reply(reply) => reply,
        Message::Event(event) => panic!("{event:?} is no reply"),
    }
}

const MUTE: Command = Command::Mute { to: Switch::On };

#[tokio::test]
async fn two_clients_get_their_own_answers_and_the_same_news() {
    let phone = Phone::start();
    let (mut one, mut two) = (phone.client().await, phone.client().await);
    assert_eq!(one.request(MUTE).await, Ok(Done::Nothing));
    let refused = two.request(Command::Quit).await.expect_err("it is refused");
    assert!(matches!(
        refused,
        ClientError::Refused(Refusal {
            trouble: Trouble::NotNow,
            ..
        })
    ));

    phone.news.send("rain".to_owned()).expect("clients listen");
    assert_eq!(one.event().await, Some(error("rain")));
    // An answer that is waited for does not swallow the news that comes before it.
    assert_eq!(two.request(MUTE).await, Ok(Done::Nothing));
    assert_eq!(two.event().await, Some(error("rain")));
}

#[tokio::test]
async fn a_line_that_is_no_request_is_answered_with_the_reason() {
    let phone = Phone::start();
    let mut stream = phone.raw().await;
    let too_long = [vec![b' '; 70_000], b"\n".to_vec()].concat();
    let cases: [(&[u8], u64, &str); 6] = [
        (b"hello\n", 0, "expected value"),
        (b"\n", 0, "EOF"),
        (
            b"{\"id\":7,\"command\":\"fly\"}\n",
            7,
            "unknown variant `fly`",
        ),
        (
            b"{\"id\":8,\"command\":\"dial\"}\n",
            8,
            "missing field `peer`",
        ),
        (b"\xff\xfe\n", 0, "UTF-8"),
        (&too_long, 0, "longer than 65536"),
    ];
    for (line, id, reason) in cases {
        say(&mut stream, line).await;
        let reply = reply(&mut stream).await;
        assert_eq!(reply.reply, id);
        let refusal = reply.result.expect_err("it is refused");
        assert_eq!(refusal.trouble, Trouble::Usage);
        assert!(
            refusal.why.contains(reason),
            "{:?} lacks {reason:?}",
            refusal.why
        );
    }
    say(
        &mut stream,
        b"{\"id\":9,\"command\":\"mute\",\"to\":\"on\"}\n",
    )
    .await;
    assert_eq!(
        reply(&mut stream).await,
        Reply {
            reply: 9,
            result: Ok(Done::Nothing)
        }
    );
}

#[tokio::test]
async fn a_script_that_only_writes_and_closes_still_gets_its_answers() {
    let phone = Phone::start();
    let mut stream = phone.raw().await;
    say(
        &mut stream,
        b"{\"id\":1,\"command\":\"mute\",\"to\":\"on\"}\n{\"id\":2,\"command\":\"quit\"}",
    )
    .await;
    stream.shutdown().await.expect("half closed");
    let mut text = String::new();
    stream
        .read_to_string(&mut text)
        .await
        .expect("answers, then the end");
    assert_eq!(
        text,
        "{\"reply\":1,\"Ok\":\"nothing\"}\n{\"reply\":2,\"Err\":{\"trouble\":\"not-now\",\"why\":\"no\"}}\n"
    );
}

#[tokio::test]
async fn one_client_too_many_is_told_so_and_a_place_that_is_left_is_free() {
    let phone = Phone::start();
    let mut clients = Vec::new();
    for _ in 0..MAX_CLIENTS {
        let mut client = phone.client().await;
        assert_eq!(client.request(MUTE).await, Ok(Done::Nothing));
        clients.push(client);
    }
    let refused = phone
        .client()
        .await
        .request(MUTE)
        .await
        .expect_err("no place");
    assert!(refused.to_string().contains("16 programs"), "{refused}");

    clients.pop();
    let deadline = Duration::from_secs(5);
    let admitted = tokio::time::timeout(deadline, async {
        while phone.client().await.request(MUTE).await.is_err() {
            tokio::task::yield_now().await;
        }
    });
    admitted.await.expect("the place is free again");
}

#[tokio::test]
async fn the_end_of_the_phone_is_the_end_of_the_conversation() {
    let mut phone = Phone::start();
    let mut client = phone.client().await;
    assert_eq!(client.request(MUTE).await, Ok(Done::Nothing));
    let socket = phone.socket();
    drop(phone.stop.take());
    drop(phone.news);
    phone.server.await.expect("no panic");
    assert_eq!(client.event().await, None);
    assert_eq!(client.request(MUTE).await, Err(ClientError::Gone));
    assert!(!socket.exists(), "the socket is left behind");
    assert!(matches!(
        Client::connect(&socket).await,
        Err(ConnectError::NobodyThere(_))
    ));
}

#[tokio::test]
async fn only_the_owner_may_open_the_socket() {
    let phone = Phone::start();
    let mode = fs::metadata(phone.socket())
        .expect("the socket")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_dead_socket_is_replaced_a_living_one_and_a_file_are_not() {
    let home = TempDir::new().expect("a directory");
    let path = home.path().join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
    assert!(path.exists(), "the dead socket is still there");
    let living = Server::bind(&path).expect("in the place of the dead one");
    assert!(matches!(Server::bind(&path), Err(ServerError::InUse(_))));
    drop(living);

    fs::write(&path, "notes").expect("a file");
    let error = Server::bind(&path).expect_err("a file is in the way");
    assert!(error.to_string().contains("in the way"), "{error}");
    assert_eq!(fs::read_to_string(&path).expect("untouched"), "notes");

    let deep = Path::new("/tmp").join("x".repeat(200));
    assert!(
        Server::bind(&deep)
            .expect_err("too long")
            .to_string()
            .contains("control socket")
    );
}

#[tokio::test]
async fn a_slow_reader_of_a_real_phone_is_told_to_look_again_and_holds_up_nobody() {
    let (anna, ben) = friends(Whole::new("Anna"), Whole::new("Ben")).await;
    let (mut anna, mut ben) = (anna, ben);
    connect(&mut ben, &mut anna, "Anna").await;
    let socket = anna.dir.path().join("control.sock");
    let server = Server::bind(&socket).expect("a socket");
    let handle = anna.handle.clone();
    let ended = {
        let handle = handle.clone();
        async move { handle.ended().await.expect("it ends as it should") }
    };
    let server = tokio::spawn(server.run(move || handle.client(), ended));

    let mut slow = BufReader::new(UnixStream::connect(&socket).await.expect("the phone runs"));
    let mut first = String::new();
    slow.read_line(&mut first).await.expect("a line");
    assert!(first.contains("\"event\":\"ready\""), "{first}");
    for _ in 0..3000 {
        let to = Switch::Toggle;
        anna.order(Command::Mute { to }).await;
    }
    say(&mut slow, b"{\"id\":5,\"command\":\"status\"}\n").await;
    let (mut resyncs, mut events) = (0, 0);
    let status = loop {
        let mut line = String::new();
        slow.read_line(&mut line).await.expect("a line");
        match serde_json::from_str(&line).expect("a message") {
            Message::Event(told) => {
                events += 1;
                resyncs += usize::from(told.event == Event::Resync);
            }
            Message::Reply(reply) => break reply,
        }
    };
    assert!(resyncs > 0 && events < 3000, "{resyncs} of {events}");
    let Ok(Done::Status(status)) = status.result else {
        panic!("{status:?} is no status");
    };
    assert_eq!((status.calls.len(), status.muted), (1, false));
    anna.end().await;
    server.await.expect("no panic");
}
