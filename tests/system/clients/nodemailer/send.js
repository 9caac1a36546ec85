// Reads {transport, messages: [{mail, envelope}]} from standard input, sends the messages with nodemailer, all at once,
// and prints for each what it sent and what became of it: [{raw, info, error}]. `raw` is in base64.
"use strict";

const nodemailer = require("nodemailer");
const MailComposer = require("nodemailer/lib/mail-composer");

async function send(transporter, { mail, envelope }) {
    const raw = mail.raw ? Buffer.from(mail.raw, "base64") : await new MailComposer(mail).compile().build();
    const sent = { raw: raw.toString("base64") };
    try {
        sent.info = await transporter.sendMail({ ...mail, raw, envelope });
    } catch (error) {
        sent.error = { code: error.code, responseCode: error.responseCode, response: error.response };
    }
    return sent;
}

async function main() {
    const chunks = [];
    for await (const chunk of process.stdin) chunks.push(chunk);
    const { transport, messages } = JSON.parse(Buffer.concat(chunks).toString());
    const transporter = nodemailer.createTransport(transport);
    const sent = await Promise.all(messages.map((message) => send(transporter, message)));
    transporter.close();
    process.stdout.write(JSON.stringify(sent));
}

main();
