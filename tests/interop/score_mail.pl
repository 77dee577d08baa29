#!/usr/bin/env perl
# Scores mails with SpamAssassin's own rules, without network, learning or preferences of this machine.
#
# Arguments: files, each a mail. Standard output: a line for each, in their order: score, space, the rules that hit with
# their scores. Exit code: 0 whatever the scores; 2 the check itself could not be made.
use strict;
use warnings;

use File::Temp qw(tempdir);

if (!eval { require Mail::SpamAssassin; 1 }) {
    print STDERR "score_mail.pl: no SpamAssassin\nhint: run scripts/setup\n";
    exit 2;
}
my $scratch = tempdir(CLEANUP => 1);
my $judge = Mail::SpamAssassin->new({
    rules_filename => '/usr/share/spamassassin',
    # Only `loadplugin` lines stand there; Debian's are those of the project.
    site_rules_filename => '/etc/spamassassin',
    userprefs_filename => '/dev/null',
    userstate_dir => $scratch,
    dont_copy_prefs => 1,
    local_tests_only => 1,
    post_config_text => "use_bayes 0\nuse_auto_whitelist 0\n",
});
for my $path (@ARGV) {
    open my $file, '<:raw', $path or do { print STDERR "score_mail.pl: cannot read $path: $!\n"; exit 2 };
    my $mail = $judge->parse([<$file>]);
    my $status = $judge->check($mail);
    my @rules = map { sprintf '%s=%s', $_, $status->{conf}->{scores}->{$_} // '?' } @{ $status->{test_names_hit} // [] };
    printf "%.1f %s\n", $status->get_score(), join(',', sort @rules);
    $status->finish();
    $mail->finish();
}
