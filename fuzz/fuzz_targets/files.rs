#![no_main]

rialto_fuzz::fuzz!(files);
