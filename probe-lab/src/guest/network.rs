//! The loopback interface.

use std::io;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, recv, send, socket};

/// Length, type RTM_NEWLINK, flags REQUEST and ACK; then a `struct ifinfomsg`: interface 1, flag and mask IFF_UP.
/// See `include/uapi/linux/netlink.h` and `rtnetlink.h`.
const LOOPBACK_UP: [u8; 32] = [
    32, 0, 0, 0, 16, 0, 5, 0, 1, 0, 0, 0, 0, 0, 0, 0, // struct nlmsghdr
    0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, // struct ifinfomsg
];

/// Brings `lo` up, which is always interface 1; the kernel gives it its addresses.
pub(super) fn loopback_up() -> io::Result<()> {
    // Protocol 0 of netlink is NETLINK_ROUTE.
    let socket = socket(AddressFamily::NETLINK, SocketType::RAW, None)?;
    send(&socket, &LOOPBACK_UP, SendFlags::empty())?;
    let mut answer = [0; 256];
    let (_, count) = recv(&socket, &mut answer[..], RecvFlags::empty())?;
    // The answer is an nlmsghdr and an errno, negative or zero.
    match answer[..count].get(16..20).and_then(|code| code.try_into().ok()).map(i32::from_le_bytes)
    {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(-code)),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
