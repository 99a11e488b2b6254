//! The auth service and the main API: tokens, the app, its addon, its environment.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hyper::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{
    Request,
    auth::Caller,
    database::{Gone, PLAN, PROVIDER, Status},
    problem::Problem,
    random,
    tokens::{self, Kind},
};
use crate::{
    answer::{Answer, Call},
    clock,
    sim::Sim,
    switches::{self, Switch, Switches},
};

/// All but what a URI's password may hold in any case.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

fn lifetime_ms(switches: &Switches, switch: &Switch) -> i64 {
    i64::try_from(switches.number(switch))
        .unwrap_or_default()
        .saturating_mul(1000)
}

/// `POST /v1/tokens/exchange`
pub fn exchange(sim: &Sim, request: &Request, caller: &Caller) -> Result<Answer, Problem> {
    let switches = &request.arrival.switches;
    let lifetime = lifetime_ms(switches, &switches::SCALINGO_JWT_SECONDS);
    let now = clock::api_ms(switches);
    let claims = json!({
        "iss": "Scalingo Authentication Service",
        "iat": now / 1000,
        "exp": (now + lifetime) / 1000,
        "jti": BASE64_URL_SAFE_NO_PAD.encode(random::<16>()?),
        "sub": user_id(caller),
    });
    let token = tokens::jwt(&sim.jwt_key, &claims);
    sim.issued()
        .issue(token.clone(), Kind::Jwt, &caller.account, lifetime);
    Ok(Answer::json(StatusCode::OK, &json!({"token": token})))
}

/// `GET /v1/regions`
pub fn regions(sim: &Sim, call: &Call) -> Answer {
    let cli = &sim.cli.scalingo;
    let here = call.origin();
    let api = cli.api_url.as_ref().unwrap_or(&here);
    let database_api = cli.database_api_url.as_ref().unwrap_or(&here);
    let body = json!({"regions": [{
        "name": cli.region,
        "display_name": "Simulated region",
        "api": api,
        "dashboard": here,
        "database_api": database_api,
        "ssh": "ssh.invalid:22",
        "default": true,
    }]});
    Answer::json(StatusCode::OK, &body)
}

fn user_id(caller: &Caller) -> String {
    format!("us-{}", caller.account)
}

/// `GET /v1/users/self`
pub fn account(caller: &Caller) -> Answer {
    let body = json!({"user": {
        "id": user_id(caller),
        "username": "simulated",
        "email": "simulated@example.com",
        "fullname": "Simulated Account",
    }});
    Answer::json(StatusCode::OK, &body)
}

/// `GET /v1/apps/{app}`
pub fn app(sim: &Sim, caller: &Caller) -> Answer {
    let cli = &sim.cli.scalingo;
    let created = clock::timestamp(sim.born_ms, true);
    let body = json!({"app": {
        "id": cli.app_id(),
        "name": cli.app,
        "region": cli.region,
        "owner": {"id": user_id(caller), "username": "simulated", "email": "simulated@example.com"},
        "status": "running",
        "created_at": created,
        "updated_at": created,
        "url": format!("https://{}.{}.invalid", cli.app, cli.region),
    }});
    Answer::json(StatusCode::OK, &body)
}

/// `GET /v1/apps/{app}/variables`. An alias is a reference, or with `aliases=true` what it refers to.
pub fn variables(sim: &Sim, call: &Call) -> Answer {
    let cli = &sim.cli.scalingo;
    let escape = |text: &str| utf8_percent_encode(text, ESCAPED).to_string();
    let (hostname, gone) = {
        let database = sim.database();
        (database.hostname.clone(), database.gone)
    };
    let url = format!(
        "postgresql://{user}:{}@{hostname}/{user}?sslmode=prefer",
        escape(&cli.default_password),
        user = cli.resource_id,
    );
    let resolved = call
        .query
        .as_deref()
        .is_some_and(|query| query.split('&').any(|pair| pair == "aliases=true"));
    let alias = if resolved {
        url.clone()
    } else {
        "$SCALINGO_POSTGRESQL_URL".to_owned()
    };
    let variable =
        |name: &str, value: String| json!({"id": format!("va-{name}"), "name": name, "value": value});
    let variables = if gone < Gone::Addon {
        vec![
            variable("DATABASE_URL", alias),
            variable("SCALINGO_POSTGRESQL_URL", url),
        ]
    } else {
        Vec::new()
    };
    Answer::json(StatusCode::OK, &json!({"variables": variables}))
}

fn addon_body(sim: &Sim) -> Value {
    let cli = &sim.cli.scalingo;
    let status = match sim.database().status {
        Status::Creating => "provisioning",
        _ => "running",
    };
    json!({
        "id": cli.addon_id,
        "app_id": cli.app_id(),
        "resource_id": cli.resource_id,
        "status": status,
        "plan": {"id": "pl-1", "name": PLAN, "display_name": "Simulated"},
        "addon_provider": {"id": PROVIDER.0, "name": PROVIDER.1},
        "provisioned_at": clock::timestamp(sim.born_ms, true),
        "deprovisioned_at": null,
    })
}

/// `GET /v1/apps/{app}/addons`
pub fn addons(sim: &Sim) -> Answer {
    let there = sim.database().gone < Gone::Addon;
    let addons: Vec<Value> = there.then(|| addon_body(sim)).into_iter().collect();
    Answer::json(StatusCode::OK, &json!({"addons": addons}))
}

/// `GET /v1/apps/{app}/addons/{id}`
pub fn addon(sim: &Sim) -> Answer {
    Answer::json(StatusCode::OK, &json!({"addon": addon_body(sim)}))
}

/// `POST /v1/apps/{app}/addons/{id}/token`
pub fn addon_token(sim: &Sim, request: &Request, caller: &Caller) -> Result<Answer, Problem> {
    let lifetime = lifetime_ms(&request.arrival.switches, &switches::SCALINGO_ADDON_TOKEN_SECONDS);
    let token = BASE64_URL_SAFE_NO_PAD.encode(random::<36>()?);
    let kind = Kind::Addon(sim.cli.scalingo.addon_id.clone());
    sim.issued().issue(token.clone(), kind, &caller.account, lifetime);
    let mut addon = addon_body(sim);
    addon["token"] = json!(token);
    Ok(Answer::json(StatusCode::OK, &json!({"addon": addon})))
}
