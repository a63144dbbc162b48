use proptest::prelude::*;

use super::*;

fn text() -> impl Strategy<Value = Text> {
    "[a-z0-9ä.-]{1,20}".prop_map(|it| Text::from(&*it))
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..64).prop_map(Bytes::from)
}

fn addr() -> impl Strategy<Value = SocketAddr> {
    any::<(IpAddr, u16)>().prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

fn ltime() -> impl Strategy<Value = LTime> {
    (0..COUNTER_MAX).prop_map(LTime)
}

fn position() -> impl Strategy<Value = Coordinate> {
    let number = || (-100.0..100.0_f32).prop_map(f64::from);
    (prop::array::uniform8(number()), number(), number(), number())
        .prop_map(|(vec, error, adjustment, height)| Coordinate { vec, error, adjustment, height })
}

fn accusation() -> impl Strategy<Value = Accusation> {
    (0..COUNTER_MAX, text(), text()).prop_map(|(incarnation, name, from)| Accusation {
        incarnation,
        name,
        from,
    })
}

fn alive() -> impl Strategy<Value = Alive> {
    (0..COUNTER_MAX, text(), any::<u128>(), addr(), bytes()).prop_map(
        |(incarnation, name, id, addr, tags)| {
            let id = NodeId(Uuid(id));
            Alive { incarnation, name, id, addr, tags }
        },
    )
}

fn query() -> impl Strategy<Value = QueryMessage> {
    let who = (addr(), text(), text(), prop::collection::vec(text(), 0..4));
    (ltime(), any::<u64>(), who, bytes(), 0..COUNTER_MAX, any::<u64>()).prop_map(
        |(ltime, id, (addr, from, name, to), payload, timeout_ms, relays)| QueryMessage {
            ltime,
            id,
            addr,
            from,
            name,
            payload,
            timeout_ms,
            relays,
            to,
        },
    )
}

fn message() -> impl Strategy<Value = Message> {
    let seq = any::<u64>;
    prop_oneof![
        (seq(), text()).prop_map(|(seq, target)| Message::Ping { seq, target }),
        (seq(), text(), addr(), any::<bool>())
            .prop_map(|(seq, target, addr, nack)| Message::PingReq { seq, target, addr, nack }),
        (seq(), prop::option::of(position()))
            .prop_map(|(seq, coordinate)| Message::Ack { seq, coordinate }),
        seq().prop_map(|seq| Message::Nack { seq }),
        alive().prop_map(Message::Alive),
        accusation().prop_map(Message::Suspect),
        accusation().prop_map(Message::Dead),
        (ltime(), text()).prop_map(|(ltime, name)| Message::Join { ltime, name }),
        (ltime(), text(), any::<bool>()).prop_map(|(ltime, name, prune)| Message::Leave {
            ltime,
            name,
            prune
        }),
        (ltime(), text(), bytes(), any::<bool>()).prop_map(|(ltime, name, payload, coalesce)| {
            Message::Event(Event { ltime, name, payload, coalesce })
        }),
        query().prop_map(Message::Query),
        (ltime(), seq(), text(), bytes()).prop_map(|(ltime, id, from, payload)| Message::Answer {
            ltime,
            id,
            from,
            payload
        }),
        (addr(), bytes()).prop_map(|(to, packet)| Message::Relay { to, packet }),
    ]
}

fn packet(messages: &[Message]) -> Bytes {
    let mut writer = Writer::new();
    begin(&mut writer, "dc1");
    messages.iter().for_each(|it| it.write(&mut writer));
    writer.finish()
}

#[test]
fn a_strangers_packet_is_not_looked_at() {
    let packet = packet(&[Message::Nack { seq: 1 }]);
    assert!(open(packet.clone(), Some("dc1")).is_ok());
    assert_eq!(open(packet, Some("wan")).err(), Some(PacketError::Stranger));
}

#[test]
fn what_a_newer_release_adds_is_skipped() {
    let mut writer = Writer::new();
    begin(&mut writer, "dc1");
    writer.nested(99, |it| it.u64(1, 5));
    writer.nested(tag::NACK, |it| {
        it.u64(1, 7);
        it.str(88, "new");
    });
    let messages: Vec<_> = open(writer.finish(), Some("dc1")).unwrap().collect();
    let [Ok(Received { message, .. })] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!(*message, Message::Nack { seq: 7 });
}

#[test]
fn a_release_that_cannot_be_understood_says_so_itself() {
    let mut writer = Writer::new();
    writer.u64(tag::VERSION, VERSION + 1);
    writer.str(tag::POOL, "dc1");
    let error = open(writer.finish(), Some("dc1")).err();
    assert_eq!(error, Some(PacketError::Version(VERSION + 1)));
}

#[test]
fn one_bad_message_costs_nothing_but_itself() {
    let mut writer = Writer::new();
    begin(&mut writer, "dc1");
    writer.nested(tag::ALIVE, |it| it.str(2, "no address"));
    Message::Nack { seq: 7 }.write(&mut writer);
    let messages: Vec<_> = open(writer.finish(), Some("dc1")).unwrap().collect();
    assert!(matches!(&messages[..], [Err(_), Ok(_)]), "{messages:?}");
}

#[test]
fn counters_that_leave_no_room_to_count_are_not_believed() {
    let message = Message::Join { ltime: LTime(COUNTER_MAX), name: Text::from("x") };
    let received = open(packet(&[message]), None).unwrap().next().unwrap();
    assert_eq!(received.err(), Some(DecodeError::Value { tag: 1 }));
}

#[test]
fn a_ping_takes_few_bytes() {
    let ping = Message::Ping { seq: 1 << 20, target: Text::from("node-0001") };
    assert_eq!(packet(&[ping]).len(), 24);
    let ack = Message::Ack { seq: 1 << 20, coordinate: Some(Coordinate::default()) };
    assert_eq!(packet(&[ack]).len(), 59);
}

proptest! {
    #[test]
    fn messages_survive(messages in prop::collection::vec(message(), 0..6)) {
        let read: Result<Vec<_>, _> = open(packet(&messages), Some("dc1")).unwrap().collect();
        let read: Vec<_> = read.unwrap().into_iter().map(|it| it.message).collect();
        prop_assert_eq!(read, messages);
    }

    #[test]
    fn any_bytes_are_messages_or_errors(bytes: Vec<u8>) {
        if let Ok(messages) = open(bytes.into(), None) {
            messages.for_each(drop);
        }
    }

    #[test]
    fn broken_packets_are_messages_or_errors(
        messages in prop::collection::vec(message(), 1..4), at: prop::sample::Index, with: u8,
    ) {
        let mut bytes = packet(&messages).to_vec();
        let at = at.index(bytes.len());
        bytes[at] = with;
        if let Ok(messages) = open(bytes.into(), None) {
            messages.for_each(drop);
        }
    }

    #[test]
    fn tags_survive(tags in prop::collection::btree_map("[a-z]{0,4}", "[a-zä]{0,4}", 0..5)) {
        let tags: Tags =
            tags.iter().map(|(key, value)| (Arc::from(&**key), Arc::from(&**value))).collect();
        prop_assert_eq!(read_tags(write_tags(&tags)), Ok(tags));
    }
}
