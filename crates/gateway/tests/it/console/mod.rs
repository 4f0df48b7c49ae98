//! The console, as a browser meets it: who gets in, what a foreign site cannot do, what each page says, what each form does. How it looks
//! is not proved here.

mod browser;
mod entering;
mod generations;
mod keeping;
mod watching;

const PAGES: [&str; 9] = [
    "/console",
    "/console/generations",
    "/console/accounts",
    "/console/tokens",
    "/console/dead",
    "/console/scaling",
    "/console/audit",
    "/console/ledger",
    "/console/playground",
];
