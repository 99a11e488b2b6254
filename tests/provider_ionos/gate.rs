//! A mutation is not sent once the gate is closed.

use super::*;

#[tokio::test]
async fn a_closed_gate_sends_nothing() {
    let script = Script::start(vec![json(200, USER); 9]).await;
    let client = Ionos::new(config(&script.url()), &settings(&["127.0.0.1:*"]), Gate::closed()).unwrap();
    let password = Password::new(SECRET);
    assert_eq!(
        client
            .create(&mutation("checkout"), &password)
            .await
            .unwrap_err()
            .class,
        ErrorClass::GateClosed
    );
    assert_eq!(
        client
            .set_password(&mutation("checkout"), &password)
            .await
            .unwrap_err()
            .class,
        ErrorClass::GateClosed
    );
    assert_eq!(
        client.delete(&mutation("checkout")).await.unwrap_err().class,
        ErrorClass::GateClosed
    );
    assert_eq!(script.connections(), 0);
    assert!(client.get("checkout").await.is_ok(), "reads need no gate");
}

/// The gate closes while the client waits for its connection, and when that is up nothing is sent on it.
#[tokio::test]
async fn a_gate_that_closes_while_connecting_sends_nothing() {
    // A listener with a full backlog holds a connection back until somebody accepts.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut fillers = Vec::new();
    for _ in 0..2 {
        fillers.push(tokio::net::TcpStream::connect(address).await.unwrap());
    }
    let gate = open();
    let mut settings = settings(&["127.0.0.1:*"]);
    (settings.connect_timeout, settings.request_timeout) = (Duration::from_secs(5), Duration::from_secs(10));
    let client = Ionos::new(config(&format!("http://{address}")), &settings, gate.clone()).unwrap();
    let attempt = tokio::spawn(async move { client.delete(&mutation("checkout")).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    gate.close();
    let mut heard = Vec::new();
    let accept = async {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            drop(fillers.pop());
            use tokio::io::AsyncReadExt;
            let _ = stream.read_to_end(&mut heard).await;
        }
    };
    let result = tokio::select! {
        result = attempt => result.unwrap(),
        () = accept => unreachable!(),
    };
    assert_eq!(result.unwrap_err().class, ErrorClass::GateClosed);
    assert_eq!(heard, b"");
}
