//! The programs at both ends: this one, in a role, inside a namespace.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket, sockopt};

use crate::attack;
use crate::frames;
use crate::load;
use crate::net::AWAY;
use crate::wire;

/// Where bulk transfers go.
pub(crate) const PORT: u16 = 5001;
/// Bytes that a bulk transfer moves.
const BULK: usize = 64 << 20;
/// What the FTP server sends over a data connection.
const LISTING: &[u8] = b"drwxr-xr-x pub\n";

/// Plays the role that the command line asks for; `None` if it asks for none.
pub(crate) fn play(arguments: &[String]) -> Option<ExitCode> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--serve", address] => Some(serve(address)),
        ["--fetch", address] => Some(fetch(address, PORT)),
        ["--fetch", address, port] => Some(fetch(address, port.parse().unwrap())),
        ["--ask", port] => Some(ask(port)),
        ["--ftp-serve"] => Some(ftp_serve()),
        ["--ftp-list"] => Some(ftp_list()),
        ["--send-segments"] => Some(wire::send_segments()),
        ["--send-large"] => Some(attack::send_large()),
        ["--inject"] => Some(frames::inject()),
        ["--capture", file] => Some(frames::capture(file)),
        ["--count-datagrams"] => Some(load::count_datagrams()),
        ["--send-datagrams", count, each_second] => Some(load::send_datagrams(count, each_second)),
        _ => None,
    }
}

/// `--serve ADDRESS`: takes what comes on [`PORT`] and says how much it was.
fn serve(address: &str) -> ExitCode {
    let listener = TcpListener::bind((address, PORT)).unwrap();
    println!("ready");
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut total = 0u64;
        let mut buffer = vec![0; 1 << 16];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(count) => total += count as u64,
            }
        }
        let _ = stream.write_all(&total.to_be_bytes());
    }
    ExitCode::SUCCESS
}

/// `--fetch ADDRESS [PORT]`: sends much and checks that as much arrived.
fn fetch(address: &str, port: u16) -> ExitCode {
    let address = format!("{address}:{port}").parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
        .set_write_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let chunk = vec![7; 1 << 20];
    for _ in 0..BULK / chunk.len() {
        stream.write_all(&chunk).unwrap();
    }
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut total = [0; 8];
    stream.read_exact(&mut total).unwrap();
    match u64::from_be_bytes(total) as usize == BULK {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// `--ask PORT`: sends a datagram and prints what becomes of it.
fn ask(port: &str) -> ExitCode {
    let port: u16 = port.parse().unwrap();
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect((AWAY, port)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    socket.send(b"question").unwrap();
    match socket.recv(&mut [0; 10]) {
        Ok(count) => print!("{count} bytes"),
        Err(error) => print!("{:?}", error.kind()),
    }
    ExitCode::SUCCESS
}

/// `--ftp-serve`: what there is of FTP, with active data connections from port 20.
fn ftp_serve() -> ExitCode {
    let listener = TcpListener::bind((AWAY, 21)).unwrap();
    println!("ready");
    for stream in listener.incoming() {
        let stream = stream.unwrap();
        // Who waits for a data connection does not hold the others up.
        std::thread::spawn(move || ftp_answer(stream));
    }
    ExitCode::SUCCESS
}

/// Answers a PORT command.
fn ftp_answer(mut stream: TcpStream) {
    let mut line = String::new();
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    lines.read_line(&mut line).unwrap();
    stream.write_all(b"230 welcome\r\n").unwrap();
    line.clear();
    lines.read_line(&mut line).unwrap();
    if line.is_empty() {
        return;
    }
    let numbers: Vec<u8> = line["PORT ".len()..]
        .trim()
        .split(',')
        .map(|number| number.parse().unwrap())
        .collect();
    let address = Ipv4Addr::new(numbers[0], numbers[1], numbers[2], numbers[3]);
    let to = SocketAddrV4::new(address, u16::from_be_bytes([numbers[4], numbers[5]]));
    let from = SocketAddrV4::new(AWAY.parse().unwrap(), 20);
    let data = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    sockopt::set_socket_reuseaddr(&data, true).unwrap();
    bind(&data, &from).unwrap();
    let answer = match connect(&data, &to) {
        Ok(()) => {
            TcpStream::from(data).write_all(LISTING).unwrap();
            "226 sent\r\n"
        }
        Err(_) => "425 no data connection\r\n",
    };
    let _ = stream.write_all(answer.as_bytes());
}

/// `--ftp-list`: asks for a listing and prints what comes.
fn ftp_list() -> ExitCode {
    let server = format!("{AWAY}:21").parse().unwrap();
    let Ok(mut control) = TcpStream::connect_timeout(&server, Duration::from_secs(1)) else {
        print!("no connection");
        return ExitCode::SUCCESS;
    };
    // As real clients do. A kernel that follows FTP begins to read after the first line.
    control.write_all(b"USER ftp\r\n").unwrap();
    let mut welcome = String::new();
    BufReader::new(control.try_clone().unwrap())
        .read_line(&mut welcome)
        .unwrap();
    let ours = control.local_addr().unwrap().ip();
    let port = 61_000 + (std::process::id() % 4000) as u16;
    let listener = TcpListener::bind((ours, port)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = ours.to_string().replace('.', ",");
    let [high, low] = port.to_be_bytes();
    control
        .write_all(format!("PORT {address},{high},{low}\r\n").as_bytes())
        .unwrap();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        if let Ok((mut data, _)) = listener.accept() {
            data.set_nonblocking(false).unwrap();
            let mut listing = String::new();
            data.read_to_string(&mut listing).unwrap();
            print!("{listing}");
            return ExitCode::SUCCESS;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    print!("no data connection");
    ExitCode::SUCCESS
}
