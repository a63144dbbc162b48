//! `tribune operator`, in the words of the original.

use super::*;

const SETTINGS: &str = r#"{"CleanupDeadServers":true,"LastContactThreshold":"200ms","MaxTrailingLogs":250,"MinQuorum":0,"ServerStabilizationTime":"10s","RedundancyZoneTag":"","DisableUpgradeMigration":false,"UpgradeVersionTag":"","CreateIndex":4,"ModifyIndex":44}"#;

#[test]
fn arguments_that_are_wrong() {
    let cases = [
        (
            "operator raft remove-peer",
            "Error removing peer: an address or id is required for the peer to remove",
        ),
        (
            "operator raft remove-peer -id=x -address=y",
            "Error removing peer: cannot give both an address and id",
        ),
        (
            "operator raft list-peers -http-addr=foo://x",
            "Error initializing client: Unknown protocol scheme: foo",
        ),
        ("operator autopilot state -format=xml", "Invalid format \"xml\": use pretty or json"),
        (
            "operator raft list-peers",
            "Error getting peers: Failed to retrieve raft configuration: \
             Get \"http://127.0.0.1:1/v1/operator/raft/configuration\": \
             dial tcp 127.0.0.1:1: connect: connection refused",
        ),
        (
            "operator autopilot set-config",
            "Error querying Autopilot configuration: \
             Get \"http://127.0.0.1:1/v1/operator/autopilot/configuration\": \
             dial tcp 127.0.0.1:1: connect: connection refused",
        ),
    ];
    for (line, want) in cases {
        assert_eq!(run(line), failed(want), "{line}");
    }
    let cases = [
        (
            "-min-quorum=x",
            "invalid value \"x\" for flag -min-quorum: \
             strconv.ParseUint: parsing \"x\": invalid syntax",
        ),
        (
            "-max-trailing-logs=-1",
            "invalid value \"-1\" for flag -max-trailing-logs: \
             strconv.ParseUint: parsing \"-1\": invalid syntax",
        ),
        (
            "-last-contact-threshold=x",
            "invalid value \"x\" for flag -last-contact-threshold: time: invalid duration \"x\"",
        ),
        (
            "-cleanup-dead-servers=zz",
            "invalid boolean value \"zz\" for -cleanup-dead-servers: \
             strconv.ParseBool: parsing \"zz\": invalid syntax",
        ),
    ];
    for (flag, want) in cases {
        let ran = run(&format!("operator autopilot set-config {flag}"));
        assert_eq!(ran.err.lines().next(), Some(want), "{flag}");
        assert_eq!(ran.code, ExitCode::FAILURE, "{flag}");
    }
}

#[test]
fn servers_are_listed() {
    let agent = Agent::new(&[(
        "GET /v1/operator/raft/configuration?stale=",
        200,
        r#"{"Servers":[
            {"ID":"aba54c85-4c01-427e-2fe8-94172e584761","Node":"s3","Address":"127.0.0.1:29303","Leader":true,"ProtocolVersion":"3","Voter":true},
            {"ID":"8c527085-bee3-1f95-0645-837bfaf04495","Node":"(unknown)","Address":"127.0.0.1:29203","Leader":false,"ProtocolVersion":"3","Voter":false,"LastIndex":7}
        ],"Index":0}"#,
    )]);
    let want = printed(
        "Node       ID                                    Address          State     Voter  RaftProtocol\n\
         s3         aba54c85-4c01-427e-2fe8-94172e584761  127.0.0.1:29303  leader    true   3\n\
         (unknown)  8c527085-bee3-1f95-0645-837bfaf04495  127.0.0.1:29203  follower  false  3",
    );
    assert_eq!(agent.run(&["operator", "raft", "list-peers", "-stale"]), want);
}

#[test]
fn servers_are_removed() {
    let agent = Agent::new(&[("DELETE /v1/operator/raft/peer?id=a%2Fb", 200, "")]);
    let ran = agent.run(&["operator", "raft", "remove-peer", "-id=a/b"]);
    assert_eq!(ran, printed("Removed peer with id \"a/b\""));

    let agent = Agent::new(&[("DELETE /v1/operator/raft/peer?address=1%3A2", 200, "")]);
    let ran = agent.run(&["operator", "raft", "remove-peer", "-address", "1:2"]);
    assert_eq!(ran, printed("Removed peer with address \"1:2\""));

    let agent = Agent::new(&[(
        "DELETE /v1/operator/raft/peer?id=x",
        500,
        "id \"x\" was not found in the Raft configuration",
    )]);
    let want = failed(
        "Error removing peer: Unexpected response code: 500 \
         (id \"x\" was not found in the Raft configuration)",
    );
    assert_eq!(agent.run(&["operator", "raft", "remove-peer", "-id=x"]), want);
}

#[test]
fn leadership_is_handed_over() {
    let line = ["operator", "raft", "transfer-leader"];
    let agent =
        Agent::new(&[("PUT /v1/operator/raft/transfer-leader", 200, r#"{"Success":true}"#)]);
    assert_eq!(agent.run(&line), printed("Success"));

    let agent = Agent::new(&[("PUT /v1/operator/raft/transfer-leader?id=x", 500, "no")]);
    let ran = agent.run(&[&line[..], &["-id=x"]].concat());
    let want = "Error transferring leadership: Unexpected response code: 500 (no)";
    assert_eq!(ran, failed(want));
}

#[test]
fn settings_are_shown() {
    let agent = Agent::new(&[("GET /v1/operator/autopilot/configuration", 200, SETTINGS)]);
    let want = printed(
        "CleanupDeadServers = true\n\
         LastContactThreshold = 200ms\n\
         MaxTrailingLogs = 250\n\
         MinQuorum = 0\n\
         ServerStabilizationTime = 10s\n\
         RedundancyZoneTag = \"\"\n\
         DisableUpgradeMigration = false\n\
         UpgradeVersionTag = \"\"",
    );
    assert_eq!(agent.run(&["operator", "autopilot", "get-config"]), want);
}

#[test]
fn settings_are_changed_unless_somebody_was_faster() {
    let line = ["operator", "autopilot", "set-config"];
    let agent = Agent::new(&[
        ("GET /v1/operator/autopilot/configuration", 200, SETTINGS),
        (
            r#"PUT /v1/operator/autopilot/configuration?cas=44 {"CleanupDeadServers":false,"LastContactThreshold":"30m0s","MaxTrailingLogs":9,"MinQuorum":3,"ServerStabilizationTime":"10s","RedundancyZoneTag":"z","DisableUpgradeMigration":true,"UpgradeVersionTag":"","CreateIndex":4,"ModifyIndex":44}"#,
            200,
            "true",
        ),
    ]);
    let flags = [
        "-cleanup-dead-servers=false",
        "-last-contact-threshold=0.5h",
        "-max-trailing-logs=9",
        "-min-quorum=3",
        "-redundancy-zone-tag=z",
        "-disable-upgrade-migration",
    ];
    let ran = agent.run(&[&line[..], &flags].concat());
    assert_eq!(ran, printed("Configuration updated!"));

    let agent = Agent::new(&[
        ("GET /v1/operator/autopilot/configuration", 200, "{\"MinQuorum\":1,\"ModifyIndex\":7}"),
        (
            "PUT /v1/operator/autopilot/configuration?cas=7 {\"MinQuorum\":1,\"ModifyIndex\":7}",
            200,
            "false",
        ),
    ]);
    let want = "Configuration could not be atomically updated, please try again";
    assert_eq!(agent.run(&line), failed(want));
}

#[test]
fn health_is_a_table_and_an_exit_code() {
    let line = ["operator", "autopilot", "health"];
    let agent = Agent::new(&[(
        "GET /v1/operator/autopilot/health",
        429,
        r#"{"Healthy":false,"FailureTolerance":0,"Servers":[{"ID":"i1","Name":"n1","Address":"10.0.0.1:8300","SerfStatus":"alive","Version":"1.2.3","Leader":true,"LastContact":"0s","LastTerm":2,"LastIndex":17,"Healthy":false,"Voter":true,"StableSince":"2026-01-02T03:04:05Z"}]}"#,
    )]);
    let want = Ran {
        code: ExitCode::from(2),
        ..printed(
            "Healthy:           false\n\
             Failure Tolerance: 0\n\
             \n\
             Node  ID  Address        Status  Version  Voter  Healthy  LastContact  LastIndex  StableSince\n\
             n1    i1  10.0.0.1:8300  alive   1.2.3    true   false    0s           17         2026-01-02T03:04:05Z",
        )
    };
    assert_eq!(agent.run(&line), want);

    let agent = Agent::new(&[("GET /v1/operator/autopilot/health", 500, "No cluster leader")]);
    let want = "Error querying Autopilot state: Unexpected response code: 500 (No cluster leader)";
    assert_eq!(agent.run(&line), failed(want));
}

#[test]
fn the_state_of_everybody() {
    const STATE: &str = r#"{"Healthy":true,"FailureTolerance":1,"OptimisticFailureTolerance":1,"Servers":{"i1":{"ID":"i1","Name":"n1","Address":"10.0.0.1:8300","NodeStatus":"alive","Version":"1.2.3","LastContact":"0s","LastTerm":2,"LastIndex":17,"Healthy":true,"StableSince":"2026-01-02T03:04:05Z","ReadReplica":false,"Status":"leader","Meta":{"rack":"r1"},"NodeType":"voter"}},"Leader":"i1","Voters":["i1"]}"#;
    let line = ["operator", "autopilot", "state"];
    let agent = Agent::new(&[("GET /v1/operator/autopilot/state", 200, STATE)]);
    let want = printed(
        "Healthy:                      true\n\
         Failure Tolerance:            1\n\
         Optimistic Failure Tolerance: 1\n\
         Leader:                       i1\n\
         Voters:\n   \
            i1\n\
         Servers:\n   \
            i1\n      \
               Name:         n1\n      \
               Address:      10.0.0.1:8300\n      \
               Version:      1.2.3\n      \
               Status:       leader\n      \
               Node Type:    voter\n      \
               Node Status:  alive\n      \
               Healthy:      true\n      \
               Last Contact: 0s\n      \
               Last Term:    2\n      \
               Last Index:   17\n      \
               Meta:\n         \
                  \"rack\": \"r1\"",
    );
    let ran = agent.run(&line);
    assert_eq!(ran, want);

    let agent = Agent::new(&[("GET /v1/operator/autopilot/state", 200, STATE)]);
    let ran = agent.run(&[&line[..], &["-format=json"]].concat());
    assert!(ran.out.contains("\"FailureTolerance\": 1,"), "{}", ran.out);
}
