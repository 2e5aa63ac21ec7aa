// Pages that ask a security key (WebAuthn): hands it the server's challenge, sends its answer.
"use strict";

(function () {
  const form = document.querySelector("form[data-security-key]");
  if (!form) return;
  const trouble = form.querySelector("[data-security-key-trouble]");
  const options = JSON.parse(document.getElementById(form.dataset.challenge).textContent).publicKey;

  // Binary values travel as base64url, in both directions.
  function bytes(text) {
    const plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
    return Uint8Array.from(plain, function (letter) { return letter.charCodeAt(0); });
  }

  function text(buffer) {
    const plain = String.fromCharCode.apply(null, new Uint8Array(buffer));
    return btoa(plain).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  }

  function withBytes(list) {
    return (list || []).map(function (entry) { return { ...entry, id: bytes(entry.id) }; });
  }

  function ask() {
    const challenge = bytes(options.challenge);
    if (form.dataset.securityKey === "create") {
      return navigator.credentials.create({
        publicKey: {
          ...options,
          challenge: challenge,
          user: { ...options.user, id: bytes(options.user.id) },
          excludeCredentials: withBytes(options.excludeCredentials),
        },
      });
    }
    return navigator.credentials.get({
      publicKey: { ...options, challenge: challenge, allowCredentials: withBytes(options.allowCredentials) },
    });
  }

  function answer(credential) {
    const response = { clientDataJSON: text(credential.response.clientDataJSON) };
    ["attestationObject", "authenticatorData", "signature", "userHandle"].forEach(function (name) {
      if (credential.response[name]) response[name] = text(credential.response[name]);
    });
    return {
      id: credential.id,
      rawId: text(credential.rawId),
      type: credential.type,
      clientExtensionResults: credential.getClientExtensionResults(),
      response: response,
    };
  }

  form.addEventListener("submit", async function (event) {
    if (form.elements.credential.value) return; // The answer is in: let it be sent.
    event.preventDefault();
    trouble.hidden = true;
    try {
      form.elements.credential.value = JSON.stringify(answer(await ask()));
    } catch {
      trouble.textContent = form.dataset.trouble;
      trouble.hidden = false;
      return;
    }
    form.requestSubmit();
  });
})();
