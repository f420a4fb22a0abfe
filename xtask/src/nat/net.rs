//! Namespaces, links between them, and NATs.

use std::process::Command;

/// How a NAT chooses the port that the other side sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nat {
    /// The same for all destinations, and only who was written to may answer: what most homes have.
    Cone,
    /// Another for each destination, at random.
    Symmetric,
    /// Like [`Cone`](Self::Cone), and UDP is not let out.
    NoUdp,
}

/// Sets everything up: the internet in the namespace this runs in, the server's machine, and two people behind NATs.
pub(super) fn build(a: Nat, b: Nat) -> Result<(), String> {
    sh("mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns
        ip link set lo up
        ip link add internet type bridge && ip link set internet up")?;
    public("server", "203.0.113.1")?;
    for (name, nat, public_address, net) in
        [("a", a, "203.0.113.10", "10.1.0"), ("b", b, "203.0.113.20", "10.2.0")]
    {
        let router = format!("nat-{name}");
        public(&router, public_address)?;
        sh(&format!(
            "ip netns add {name}
             ip link add {name}-in netns {name} type veth peer name {name}-gw netns {router}
             ip -n {name} addr add {net}.2/24 dev {name}-in
             ip -n {router} addr add {net}.1/24 dev {name}-gw
             ip -n {name} link set lo up && ip -n {name} link set {name}-in up
             ip -n {router} link set {name}-gw up
             ip -n {name} route add default via {net}.1
             ip netns exec {router} sysctl -qw net.ipv4.ip_forward=1"
        ))?;
        rules(&router, nat)?;
    }
    Ok(())
}

/// Takes it all down, for the next case.
pub(super) fn clear() -> Result<(), String> {
    sh("for name in a b; do ip -n nat-$name link del $name-gw; done
        for name in nat-a nat-b server; do ip link del up-$name; done
        for name in a b nat-a nat-b server; do ip netns del $name; done
        ip link del internet
        umount /run/netns")
}

/// A machine with a public address.
fn public(name: &str, address: &str) -> Result<(), String> {
    sh(&format!(
        "ip netns add {name}
         ip link add {name}-out netns {name} type veth peer name up-{name}
         ip link set up-{name} master internet && ip link set up-{name} up
         ip -n {name} addr add {address}/24 dev {name}-out
         ip -n {name} link set lo up && ip -n {name} link set {name}-out up"
    ))
}

fn rules(router: &str, nat: Nat) -> Result<(), String> {
    let how = if nat == Nat::Symmetric { "masquerade random,fully-random" } else { "masquerade" };
    let person = router.trim_start_matches("nat-");
    let udp = if nat == Nat::NoUdp { "meta l4proto udp drop" } else { "" };
    // Nothing comes in that was not asked for.
    sh(&format!(
        "ip netns exec {router} nft -f - <<'END'
table ip home {{
    chain out {{
        type nat hook postrouting priority srcnat;
        oifname \"{router}-out\" {how}
    }}
    chain here {{
        type filter hook input priority filter; policy drop;
        ct state established,related accept
    }}
    chain through {{
        type filter hook forward priority filter; policy drop;
        {udp}
        iifname \"{person}-gw\" accept
        ct state established,related accept
    }}
}}
END"
    ))
}

/// Runs shell commands, all of which must work.
pub(super) fn sh(script: &str) -> Result<(), String> {
    let output = Command::new("sh")
        .args(["-ec", script])
        .output()
        .map_err(|error| format!("sh cannot be started: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{}\n  in:\n{script}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// A program in a namespace.
pub(super) fn command(namespace: &str, program: &std::path::Path) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program);
    command
}
