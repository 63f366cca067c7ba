use std::process::ExitCode;

fn main() -> ExitCode {
    wasend::cli::main()
}
