"""The pages where people sign in and get app passwords, in headless Chromium: a real OpenID Connect provider, a Dovecot
that only a token opens, and a mail program that knows USER and PASS alone. And the documents by which mail programs
configure themselves."""

import http.client
import json
import re
import ssl
import urllib.parse
import xml.etree.ElementTree as ElementTree
from types import SimpleNamespace

import pytest
from support.browser import Browser
from support.dovecot import Dovecot, Introspection
from support.net import HOST, PATIENCE, free_port
from support.oidc import OidcProvider, query_of
from support.pop3 import Pop3
from support.popgate import Popgate
from support.setups import configuration

MESSAGE = b"From: a@example.org\r\nSubject: hello\r\n\r\ntext\r\n"
PASSWORD = re.compile(r"[a-z0-9]{4}(-[a-z0-9]{4}){3}")
SESSION = "__Host-popgate-session"
DESKTOP = {"viewport": {"width": 1100, "height": 800}, "locale": "en-GB"}
PHONE = {"viewport": {"width": 320, "height": 640}, "locale": "en-GB"}


@pytest.fixture(scope="module")
def provider(certificates):
    with OidcProvider(certificates) as server:
        yield server


@pytest.fixture(scope="module")
def upstream(certificates, provider):
    with Dovecot(certificates, oauth=Introspection.at(provider)) as server:
        yield server


@pytest.fixture(scope="module")
def browser():
    with Browser() as running:
        yield running


def route_to(upstream, **more):
    return {"match": "*@example.com", "backend": f"imaps://{HOST}:{upstream.imaps_port}",
            "ca_file": str(upstream.ca_file), "auth": "app-passwords", "oauth": "corp", **more}


@pytest.fixture(scope="module")
def place(certificates, provider, upstream):
    """popgate with pages; `url` is where they are."""
    port = free_port()
    url = f"https://localhost:{port}"
    provider.allow_redirect(f"{url}/callback")
    oauth = {"name": "corp", "issuer": provider.issuer, "client_id": provider.post_client_id,
             "client_secret": provider.client_secret, "ca_file": str(provider.ca_file), "scopes": "mail offline_access"}
    enrolment = {"listen": f"{HOST}:{port}", "url": url, "domains": "example.com example.org",
                 "pop3_host": "pop.example.com", "service_name": "Example & Sons' Mail"}
    admin = {"listen": f"{HOST}:{free_port()}"}
    listen = [{"address": f"{HOST}:0", "tls": tls} for tls in ("none", "starttls", "implicit")]
    elsewhere = route_to(upstream, match="*@elsewhere.example", backend=f"imaps://{HOST}:{free_port()}")
    # In the place of a provider whose tenants choose the addresses that their people claim.
    claims = [{"from": "boss-claimed@other.example", "to": "boss@example.com"},
              {"from": "shared-claimed@other.example", "to": "shared@example.com"}]
    with Popgate(configuration(certificates, [route_to(upstream), elsewhere], listen=listen, oauth=[oauth],
                               enrolment=enrolment, admin=admin, alias=claims)) as popgate:
        yield SimpleNamespace(popgate=popgate, url=url, port=port, admin=admin["listen"],
                              tls=ssl.create_default_context(cafile=str(certificates.ca)))


@pytest.fixture
def come(browser):
    """come(**options): a visitor, in whose browser nothing may have gone wrong when the test ends."""
    came = []

    def visit(**options):
        came.append(browser.visitor(**{**DESKTOP, **options}))
        return came[-1]

    yield visit
    for visitor in came:
        assert visitor.complaints() == []
        visitor.leave()


_people = iter(range(1, 1000))


@pytest.fixture
def person(upstream):
    name = f"person{next(_people)}@example.com"
    upstream.deliver(name, MESSAGE)
    return name


def pass_the_provider(visitor, who):
    """What a person does there: from its first page to where it leads."""
    visitor.fill(selector="input[name=user]", value=who)
    visitor.click(role="button", name="Sign in")
    visitor.click(role="button", name="Allow")


def sign_in(visitor, place, who):
    visitor.goto(url=place.url)
    visitor.click(role="button", name="corp")
    pass_the_provider(visitor, who)
    assert visitor.url() == f"{place.url}/devices", visitor.text(selector="main")


def add_device(visitor, label="Printer"):
    """The app password, from the page that shows it."""
    visitor.fill(selector="#label", value=label)
    visitor.click(role="button", name="Crea")  # Create, Crear
    return visitor.text(selector="code")


def try_password(place, user, password):
    with Pop3(place.popgate.port("none")) as pop3:
        reply = pop3.login(user, password)
        if reply.startswith("+OK"):
            assert pop3.retr(1) == MESSAGE
            pop3.quit()
        return reply


def ask(place, method, path, body=None, **headers):
    connection = http.client.HTTPSConnection("localhost", place.port, context=place.tls, timeout=PATIENCE)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return SimpleNamespace(status=answer.status, headers=answer.headers, text=answer.read().decode())
    finally:
        connection.close()


# --- what people do


def test_from_sign_in_to_a_revoked_password(place, come, person):
    visitor = come()
    sign_in(visitor, place, person)
    password = add_device(visitor, "Office printer")
    assert PASSWORD.fullmatch(password)
    page = visitor.text(selector="main")
    assert "pop.example.com" in page and person in page
    ports = [str(place.popgate.port(tls)) for tls in ("implicit", "starttls", "none")]
    assert re.findall(r"\b\d{4,5}\b", visitor.text(selector=".settings")) == ports, "encrypted ones first"

    visitor.reload()
    assert password not in visitor.html(), "it is shown once"
    assert try_password(place, person, password).startswith("+OK")
    assert try_password(place, person, password.replace("-", "").upper()).startswith("+OK")

    visitor.goto(url=f"{place.url}/devices")
    device = visitor.text(selector=".device")
    assert "Office printer" in device and HOST in device, "when it was last used, and from where"
    visitor.click(role="button", name="Revoke the password of Office printer")
    assert visitor.texts(selector=".device") == []
    assert try_password(place, person, password).startswith("-ERR [AUTH]")
    assert password not in place.popgate.log_text()


def test_revoking_all_asks_first(place, come, person):
    visitor = come()
    sign_in(visitor, place, person)
    passwords = []
    for label in ("one", "two"):
        passwords.append(add_device(visitor, label))
        visitor.click(role="link", name="Done")
    visitor.click(role="link", name="Revoke all")
    visitor.click(role="link", name="Keep them")
    assert len(visitor.texts(selector=".device")) == 2
    visitor.click(role="link", name="Revoke all")
    visitor.click(role="button", name="Revoke all passwords")
    assert visitor.texts(selector=".device") == []
    for password in passwords:
        assert try_password(place, person, password).startswith("-ERR [AUTH]")


def test_signing_out(place, come, person):
    visitor = come()
    sign_in(visitor, place, person)
    cookies = visitor.cookies()
    visitor.click(role="button", name="Sign out")
    assert visitor.url() == f"{place.url}/"
    visitor.add_cookies(cookies=cookies)
    visitor.goto(url=f"{place.url}/devices")
    assert visitor.url() == f"{place.url}/", "the session has ended, not only its cookie"


def test_in_spanish(place, come, person):
    visitor = come(locale="es-MX")
    visitor.goto(url=place.url)
    assert visitor.attribute(selector="html", name="lang") == "es"
    visitor.click(role="button", name="Iniciar sesión con corp")
    pass_the_provider(visitor, person)
    assert visitor.text(selector="h1") == "Sus dispositivos"
    assert PASSWORD.fullmatch(add_device(visitor, "Impresora"))
    visitor.click(role="link", name="Listo")
    visitor.click(role="link", name="English")
    assert visitor.text(selector="h1") == "Your devices"
    visitor.goto(url=f"{place.url}/devices")
    assert visitor.text(selector="h1") == "Your devices", "what was chosen is remembered"


def test_by_keyboard_alone(place, come, person):
    visitor = come()
    visitor.goto(url=place.url)

    def tab_to(text):
        for _ in range(20):
            visitor.press(key="Tab")
            focused = visitor.focused()
            if focused["tag"] == "body":  # a page that has just come, or the way around through the browser itself
                continue
            assert focused["outline"] != "none", f"{focused} does not show that it has the focus"
            if text in focused["text"]:
                return
        raise AssertionError(f"no way to {text}")

    tab_to("Sign in with corp")
    visitor.press(key="Enter")
    pass_the_provider(visitor, person)
    tab_to("label")
    visitor.type(value="Typed")
    visitor.press(key="Enter")
    assert PASSWORD.fullmatch(visitor.text(selector="code"))
    tab_to("Done")
    visitor.press(key="Enter")
    assert "Typed" in visitor.text(selector=".device")


@pytest.mark.parametrize("how", [DESKTOP, PHONE, {**PHONE, "colorScheme": "dark"}, {**PHONE, "locale": "es-ES"}],
                         ids=["desktop", "phone", "dark", "spanish"])
def test_everybody_can_use_the_pages(place, come, person, how, tmp_path):
    visitor = come(**how)

    def look(name):
        visitor.screenshot(path=str(tmp_path / f"{name}.png"))
        assert visitor.axe() == [], name
        assert visitor.overflow() <= 0, f"{name} is wider than the window"

    visitor.goto(url=place.url)
    look("sign-in")
    visitor.click(role="button", name="corp")
    pass_the_provider(visitor, person)
    look("no-devices")
    for label in ("Printer", "W" * 60):
        add_device(visitor, label)
        look("new-password")
        visitor.goto(url=f"{place.url}/devices")
    look("devices")
    visitor.reload()
    visitor.goto(url=f"{place.url}/new-password")
    look("gone")
    visitor.goto(url=f"{place.url}/revoke-all")
    look("revoke-all")
    assert visitor.goto(url=f"{place.url}/nothing")["status"] == 404
    look("not-found")


# --- whose mailbox it is


def test_somebody_without_a_mailbox(place, come):
    visitor = come()
    visitor.goto(url=place.url)
    visitor.click(role="button", name="corp")
    pass_the_provider(visitor, "<b>eve</b>@other.example")
    assert visitor.text(selector="h1") == "No mailbox for this address"
    assert "<b>eve</b>@other.example" in visitor.text(selector="main")
    assert SESSION not in [cookie["name"] for cookie in visitor.cookies()]


def test_a_claimed_address_gives_nobody_another_ones_mailbox(place, come, upstream):
    """The mail server itself must open the mailbox with the tokens, and only then they are kept."""
    visitor = come()
    visitor.goto(url=place.url)
    visitor.click(role="button", name="corp")
    pass_the_provider(visitor, "boss-claimed@other.example")
    assert visitor.text(selector="h1") == "The mailbox did not open"
    assert SESSION not in [cookie["name"] for cookie in visitor.cookies()]
    upstream.deliver("boss@example.com", MESSAGE)
    sign_in(come(), place, "boss@example.com")  # nothing of the other one was kept


def test_another_person_for_the_same_account(place, come, upstream):
    upstream.deliver("shared@example.com", MESSAGE)
    first = come()
    sign_in(first, place, "shared@example.com")
    password = add_device(first)
    visitor = come()
    visitor.goto(url=place.url)
    visitor.click(role="button", name="corp")
    pass_the_provider(visitor, "shared-claimed@other.example")
    assert visitor.text(selector="h1") == "This mailbox belongs to another sign-in"
    assert SESSION not in [cookie["name"] for cookie in visitor.cookies()]
    assert try_password(place, "shared@example.com", password).startswith("+OK")
    again = come()
    sign_in(again, place, "shared@example.com")
    assert len(again.texts(selector=".device")) == 1


def test_an_upstream_that_is_down_keeps_nothing(place, come):
    visitor = come()
    visitor.goto(url=place.url)
    visitor.click(role="button", name="corp")
    pass_the_provider(visitor, "ann@elsewhere.example")
    assert visitor.text(selector="h1") == "This does not work at the moment"
    assert SESSION not in [cookie["name"] for cookie in visitor.cookies()]


def test_saying_no_at_the_provider(place, come, person):
    visitor = come()
    visitor.goto(url=place.url)
    visitor.click(role="button", name="corp")
    visitor.fill(selector="input[name=user]", value=person)
    visitor.click(role="button", name="Sign in")
    visitor.click(role="button", name="Deny")
    assert visitor.text(selector="h1") == "You were not signed in"
    assert "the person has said no" in visitor.text(selector="main")


# --- attacks


def begin(place, browser_cookie=None):
    """A sign-in without a browser: the cookie, and the provider's URL with our state in it."""
    page = ask(place, "GET", "/", **({"Cookie": browser_cookie} if browser_cookie else {}))
    cookie = browser_cookie or page.headers["Set-Cookie"].partition(";")[0]
    token = re.search(r'name="token" value="(\w+)"', page.text)[1]
    left = ask(place, "POST", "/sign-in", urllib.parse.urlencode({"token": token, "provider": "corp"}), Cookie=cookie,
               Origin=place.url, Content_Type="application/x-www-form-urlencoded")
    assert left.status == 303, left.text
    return cookie, left.headers["Location"]


def callback_of(provider, url, user):
    """The path and query to which the provider leads back."""
    parts = urllib.parse.urlsplit(provider.sign_in(url, user))
    return f"{parts.path}?{parts.query}"


def cookies_of(answer):
    return dict(each.partition(";")[0].split("=", 1) for each in answer.headers.get_all("Set-Cookie", []))


def test_the_request_has_what_keeps_it_safe(place):
    _, url = begin(place)
    asked = query_of(url)
    assert asked["code_challenge_method"] == "S256" and len(asked["code_challenge"]) == 43
    assert asked["redirect_uri"] == f"{place.url}/callback"
    assert len(asked["state"]) >= 22 and len(asked["nonce"]) >= 22
    assert query_of(begin(place)[1])["state"] != asked["state"]


def test_a_callback_of_another_browser_or_a_replayed_one(place, provider, person):
    theirs, url = begin(place)
    back = callback_of(provider, url, person)
    ours, _ = begin(place)
    for cookie in (ours, "", "__Host-popgate-browser="):
        answer = ask(place, "GET", back, Cookie=cookie)
        assert answer.status == 400 and SESSION not in cookies_of(answer)
    first = ask(place, "GET", back, Cookie=theirs)
    assert first.status == 303 and SESSION in cookies_of(first), first.text
    again = ask(place, "GET", back, Cookie=theirs)
    assert again.status == 400 and SESSION not in cookies_of(again)


def test_a_session_id_that_was_planted_is_not_used(place, provider, person):
    browser_cookie, url = begin(place)
    planted = f"{SESSION}={'a' * 64}"
    answer = ask(place, "GET", callback_of(provider, url, person), Cookie=f"{browser_cookie}; {planted}")
    fresh = cookies_of(answer)[SESSION]
    assert len(fresh) == 64 and fresh != "a" * 64
    assert ask(place, "GET", "/devices", Cookie=planted).headers["Location"] == "/"
    assert ask(place, "GET", "/devices", Cookie=f"{SESSION}={fresh}").status == 200
    flags = next(each for each in answer.headers.get_all("Set-Cookie") if each.startswith(SESSION))
    assert all(flag in flags for flag in ("; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/")), flags


def test_forms_from_other_sites(place, come, person):
    visitor = come()
    sign_in(visitor, place, person)
    cookies = "; ".join(f"{each['name']}={each['value']}" for each in visitor.cookies() if "popgate" in each["name"])
    token = visitor.attribute(selector="input[name=token]", name="value")
    form = {"Content_Type": "application/x-www-form-urlencoded", "Cookie": cookies}
    for body, more in (("label=x", {}), (f"label=x&token={'0' * 64}", {}),
                       (f"label=x&token={token}", {"Origin": "https://evil.example"}),
                       (f"label=x&token={token}", {"Origin": "null"}),
                       (f"label=x&token={token}", {"Sec_Fetch_Site": "cross-site"})):
        assert ask(place, "POST", "/devices", body, **form, **more).status == 403, (body, more)
    # As a browser sends it, with the cookies that it sends from a page of somebody else's.
    visitor.goto(url="data:text/html," + urllib.parse.quote(
        f'<form method=post action="{place.url}/devices"><input name=label value=x><button>Win</button></form>'))
    visitor.click(role="button", name="Win")
    visitor.goto(url=f"{place.url}/devices")
    assert visitor.texts(selector=".device") == []


def test_script_in_a_label_and_in_a_description(place, come, person):
    visitor = come()
    sign_in(visitor, place, person)
    label = "\"><script>alert(1)</script><img src=x onerror=alert(2)>"
    add_device(visitor, label)
    assert label in visitor.text(selector="h1")
    visitor.goto(url=f"{place.url}/devices")
    assert visitor.text(selector=".device h2") == label
    cookie, url = begin(place)
    back = urllib.parse.urlencode({"state": query_of(url)["state"], "error": "access_denied", "error_description": label})
    answer = ask(place, "GET", f"/callback?{back}", Cookie=cookie)
    assert answer.status == 403 and "&lt;script&gt;" in answer.text and "<script" not in answer.text


def test_no_page_leads_elsewhere(place):
    for target in ("//evil.example", "/?next=https://evil.example", "/devices?return=//evil.example", "/%2f%2fevil.example",
                   "/callback?redirect_uri=https://evil.example", "https://evil.example/"):
        answer = ask(place, "GET", target)
        assert answer.headers["Location"] in (None, "/"), target


def test_pages_of_other_names_are_not_answered(place):
    assert ask(place, "GET", "/", Host="evil.example").status == 421
    assert ask(place, "GET", "/", Host=f"localhost:{place.port}").status == 200


def test_headers_of_every_page(place):
    for path in ("/", "/callback", "/nothing", "/devices", "/sign-in", "/style.css"):
        headers = ask(place, "GET", path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"], path
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"], path
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "DENY", path
        assert "max-age" in headers["Strict-Transport-Security"], path


# --- what mail programs ask for


def test_thunderbird_finds_its_settings(place):
    address = urllib.parse.quote("ann@example.com")
    for path in ("/mail/config-v1.1.xml", "/.well-known/autoconfig/mail/config-v1.1.xml"):
        answer = ask(place, "GET", f"{path}?emailaddress={address}", Host="autoconfig.example.com")
        assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/xml")
        config = ElementTree.fromstring(answer.text)
        assert config.tag == "clientConfig" and config.get("version") == "1.1"
        offered = config.find("emailProvider")
        assert offered.get("id") == "example.com" and [each.text for each in offered.findall("domain")] == ["example.com"]
        assert offered.findtext("displayName") == "Example & Sons' Mail"
        servers = offered.findall("incomingServer")
        assert [(each.get("type"), each.findtext("hostname"), each.findtext("port"), each.findtext("socketType"),
                 each.findtext("username"), each.findtext("authentication")) for each in servers] == [
            ("pop3", "pop.example.com", str(place.popgate.port(tls)), socket, "%EMAILADDRESS%", "password-cleartext")
            for tls, socket in (("implicit", "SSL"), ("starttls", "STARTTLS"))]
        assert offered.findall("outgoingServer") == []
    assert ask(place, "GET", "/mail/config-v1.1.xml?emailaddress=ann%40other.example").status == 404


# As Outlook 2016 and later send it.
OUTLOOK = """<?xml version="1.0" encoding="utf-8"?>
<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006">
  <Request>
    <EMailAddress>{}</EMailAddress>
    <AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema>
  </Request>
</Autodiscover>
"""


def test_outlook_finds_its_settings(place):
    name = "{http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a}"
    for path in ("/autodiscover/autodiscover.xml", "/AutoDiscover/AutoDiscover.xml"):
        answer = ask(place, "POST", path, OUTLOOK.format("ann@example.com"), Content_Type="text/xml; charset=utf-8",
                     Host="autodiscover.example.com")
        assert answer.status == 200
        root = ElementTree.fromstring(answer.text)
        assert root.tag == "{http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006}Autodiscover"
        account = root.find(f"{name}Response/{name}Account")
        assert account.findtext(f"{name}AccountType") == "email" and account.findtext(f"{name}Action") == "settings"
        first = {each.tag.removeprefix(name): each.text for each in account.find(f"{name}Protocol")}
        assert first == {"Type": "POP3", "Server": "pop.example.com", "Port": str(place.popgate.port("implicit")),
                         "LoginName": "ann@example.com", "DomainRequired": "off", "SPA": "off", "SSL": "on",
                         "Encryption": "SSL", "AuthRequired": "on"}
        assert len(account.findall(f"{name}Protocol")) == 2
    refused = ask(place, "POST", "/autodiscover/autodiscover.xml", "<!DOCTYPE x>" + OUTLOOK.format("ann@example.com"))
    assert "<ErrorCode>600</ErrorCode>" in refused.text
    pointed = ask(place, "GET", "/autodiscover/autodiscover.json?Email=ann%40example.com&Protocol=AutodiscoverV1")
    assert json.loads(pointed.text) == {"Protocol": "AutodiscoverV1", "Url": f"{place.url}/autodiscover/autodiscover.xml"}
    other = ask(place, "GET", "/autodiscover/autodiscover.json?Email=ann%40example.com&Protocol=ActiveSync")
    assert other.status == 400 and json.loads(other.text)["ErrorCode"] == "InvalidProtocol"


def test_metrics_are_on_the_admins_address_alone(place):
    connection = http.client.HTTPConnection(*place.admin.split(":"), timeout=PATIENCE)
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 200 and re.search(r"^popgate_\w+(\{.*\})? \d+$", text, re.MULTILINE), text
    assert ask(place, "GET", "/metrics").status == 404
