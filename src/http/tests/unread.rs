//! A gateway whose ledger is not there yet: nothing that it does not know is told as if it were not there.

use super::rig::Rig;

#[tokio::test]
async fn before_the_ledger_was_read_nobody_is_told_that_there_is_no_such_sale_or_ticket() {
    let mut rig = Rig::unread().await;
    let asked = rig.ledger.asked();
    let (head, document) = rig.asked("ann").await;
    assert_eq!((head.status, document["code"].as_str()), (503, Some("ledger_unavailable")));
    assert_eq!(document["reason"], "the ledger was not read yet");
    assert!(head.header("retry-after").is_some());
    let ticket = "A".repeat(58);
    for (method, path) in [
        ("GET", "/v1/sales".to_owned()),
        ("GET", "/v1/sales/sale".to_owned()),
        ("GET", "/v1/sales/none".to_owned()),
        ("GET", format!("/v1/tickets/{ticket}")),
        ("GET", format!("/v1/tickets/{ticket}?wait=20")),
        ("GET", format!("/v1/tickets/{ticket}/events")),
        ("DELETE", format!("/v1/tickets/{ticket}")),
    ] {
        let mut client = rig.client().await;
        client.ask(method, &path, "X-Buyer-Id: ann\r\n").await;
        let (head, document) = client.answer().await;
        let told = (head.status, document["code"].as_str());
        assert_eq!(told, (503, Some("ledger_unavailable")), "{method} {path}");
        assert_eq!(head.header("cache-control"), Some("no-store"), "{method} {path}");
    }
    assert_eq!(rig.ledger.asked(), asked, "the ledger is asked for nothing");
    let (_, document) = rig.get("/livez").await;
    assert_eq!(document["status"], "live");
    rig.load().await;
    let ticket = rig.order("ann").await;
    assert_eq!(rig.document(&ticket).await["state"], "queued");
    assert_eq!(rig.get("/v1/sales/none").await.1["code"], "unknown_sale");
    assert_eq!(
        rig.get(&format!("/v1/tickets/{}", "A".repeat(58))).await.1["code"],
        "unknown_ticket"
    );
    assert_eq!(rig.get("/v1/sales").await.1["sales"][0]["sale"], "sale");
}
