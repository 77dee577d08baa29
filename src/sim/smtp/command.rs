//! The command lines of SMTP, taken apart (RFC 5321, section 4.1).

use super::SmtpOptions;

/// A refusal: the whole reply line.
pub(super) type Refusal = String;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Ehlo,
    Helo,
    /// Mechanism and initial response.
    Auth(String, Option<String>),
    Mail(Sender),
    Rcpt(String),
    Data,
    Rset,
    Noop,
    Vrfy,
    Quit,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sender {
    pub(super) address: String,
    pub(super) eight_bit: bool,
    pub(super) utf8: bool,
}

pub(super) fn parse(line: &str, options: &SmtpOptions) -> Result<Command, Refusal> {
    let (verb, rest) = line.split_once(' ').map_or((line, ""), |(verb, rest)| (verb, rest.trim_end()));
    let is = |name: &str| verb.eq_ignore_ascii_case(name);
    let alone = |command| if rest.is_empty() { Ok(command) } else { Err("501 5.5.4 No parameter expected".to_owned()) };
    if is("EHLO") || is("HELO") {
        match rest {
            "" => Err(format!("501 5.5.4 Syntax: {verb} hostname")),
            _ if is("EHLO") => Ok(Command::Ehlo),
            _ => Ok(Command::Helo),
        }
    } else if is("AUTH") {
        let mut words = rest.split(' ').map(str::to_owned);
        match words.next().filter(|mechanism| !mechanism.is_empty()) {
            Some(mechanism) => Ok(Command::Auth(mechanism, words.next())),
            None => Err("501 5.5.4 Syntax: AUTH mechanism".into()),
        }
    } else if is("MAIL") {
        mail(rest, options).map(Command::Mail)
    } else if is("RCPT") {
        let (address, parameters) = path(rest, "TO:")?;
        if address.is_empty() {
            return Err("501 5.1.3 A recipient must have an address".into());
        }
        if parameters.is_empty() { Ok(Command::Rcpt(address)) } else { Err(unknown_parameter()) }
    } else if is("DATA") {
        alone(Command::Data)
    } else if is("RSET") {
        alone(Command::Rset)
    } else if is("QUIT") {
        alone(Command::Quit)
    } else if is("NOOP") {
        Ok(Command::Noop)
    } else if is("VRFY") {
        Ok(Command::Vrfy)
    } else {
        Err("500 5.5.2 Unknown command".into())
    }
}

fn mail(rest: &str, options: &SmtpOptions) -> Result<Sender, Refusal> {
    let (address, parameters) = path(rest, "FROM:")?;
    let mut sender = Sender { address, eight_bit: false, utf8: false };
    for parameter in parameters.split_ascii_whitespace() {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if key.eq_ignore_ascii_case("SIZE") {
            let size: usize = value.parse().map_err(|_| "501 5.5.4 SIZE must be a number".to_owned())?;
            if size > options.max_size {
                return Err(too_big());
            }
        } else if key.eq_ignore_ascii_case("BODY") && options.eight_bit {
            sender.eight_bit = value.eq_ignore_ascii_case("8BITMIME");
            if !sender.eight_bit && !value.eq_ignore_ascii_case("7BIT") {
                return Err("501 5.5.4 Unknown BODY".into());
            }
        } else if key.eq_ignore_ascii_case("SMTPUTF8") && value.is_empty() && options.utf8 {
            sender.utf8 = true;
        } else if !key.eq_ignore_ascii_case("AUTH") {
            return Err(unknown_parameter());
        }
    }
    Ok(sender)
}

/// `FROM:<address> PARAMETERS`. No space before the bracket; a source route is not taken.
fn path<'a>(rest: &'a str, keyword: &str) -> Result<(String, &'a str), Refusal> {
    let wrong = || format!("501 5.5.4 Syntax: {keyword}<address>");
    let (key, rest) = rest.split_at_checked(keyword.len()).ok_or_else(wrong)?;
    let inner = rest.strip_prefix('<').filter(|_| key.eq_ignore_ascii_case(keyword)).ok_or_else(wrong)?;
    let (address, parameters) = inner.split_once('>').ok_or_else(wrong)?;
    let well_formed = match address.rsplit_once('@') {
        Some((local, domain)) => {
            !local.is_empty()
                && !domain.is_empty()
                && !address.contains(|c: char| c.is_control() || c == ' ' || c == '<')
        }
        None => address.is_empty() || address.eq_ignore_ascii_case("postmaster"),
    };
    if !well_formed {
        return Err("501 5.1.7 Bad address syntax".into());
    }
    if !parameters.is_empty() && !parameters.starts_with(' ') {
        return Err(wrong());
    }
    Ok((address.to_owned(), parameters.trim_start()))
}

pub(super) fn too_big() -> Refusal {
    "552 5.3.4 The message is too big".into()
}

fn unknown_parameter() -> Refusal {
    "555 5.5.4 Unknown parameter".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, Refusal> {
        parse(line, &SmtpOptions { max_size: 1000, ..SmtpOptions::default() })
    }

    #[test]
    fn a_verb_is_read_in_any_case() {
        assert_eq!(parsed("ehlo client.example"), Ok(Command::Ehlo));
        assert_eq!(parsed("Quit"), Ok(Command::Quit));
        assert!(parsed("STARTTLS").is_err_and(|refusal| refusal.starts_with("500")));
        assert!(parsed("DATA now").is_err_and(|refusal| refusal.starts_with("501")));
        assert!(parsed("EHLO").is_err_and(|refusal| refusal.starts_with("501")));
    }

    #[test]
    fn a_sender_may_be_empty_and_has_parameters() {
        let sender = |address: &str, eight_bit, utf8| Sender { address: address.into(), eight_bit, utf8 };
        assert_eq!(parsed("MAIL FROM:<>"), Ok(Command::Mail(sender("", false, false))));
        let line = "MAIL FROM:<a@b.example> SIZE=900 BODY=8BITMIME SMTPUTF8";
        assert_eq!(parsed(line), Ok(Command::Mail(sender("a@b.example", true, true))));
        assert!(parsed("MAIL FROM:<a@b.example> SIZE=1001").is_err_and(|refusal| refusal.starts_with("552")));
        assert!(parsed("MAIL FROM:<a@b.example> RET=HDRS").is_err_and(|refusal| refusal.starts_with("555")));
    }

    #[test]
    fn a_malformed_path_is_refused() {
        assert_eq!(parsed("RCPT TO:<ş@b.example>"), Ok(Command::Rcpt("ş@b.example".into())));
        let wrong = [
            "RCPT TO:",
            "RCPT TO:<>",
            "RCPT TO:a@b",
            "RCPT TO: <a@b>",
            "RCPT TO:<a>",
            "RCPT TO:<a b@c>",
            "RCPT FROM:<a@b>",
        ];
        for line in wrong {
            assert!(parsed(line).is_err_and(|refusal| refusal.starts_with("501")), "{line}");
        }
    }
}
