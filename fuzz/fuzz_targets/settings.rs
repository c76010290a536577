#![no_main]

rialto_fuzz::fuzz!(settings);
