INSERT INTO account (estate_id, account_id, kind, room_id, holder, phone, status, tariff_id, balance_fen, residue_nf, version, level, alarm1_fen, alarm2_fen, overdraft_fen, close_allowed_fen, protected, protected_reason, protected_until, scheme_id, own_rules) VALUES
('plum', 'revenue', 'revenue', NULL, '', '', 'normal', NULL, 4250, 0, 6, 0, 3000, 1000, 0, 0, 0, '', NULL, NULL, '{}'),
('plum', 'opening', 'opening', NULL, '', '', 'normal', NULL, -10300, 0, 3, 3, 3000, 1000, 0, 0, 0, '', NULL, NULL, '{}'),
('plum', 'cash', 'cash', NULL, '', '', 'normal', NULL, -4101, 0, 8, 3, 3000, 1000, 0, 0, 0, '', NULL, NULL, '{}'),
('plum', 'suspense', 'suspense', NULL, '', '', 'normal', NULL, 700, 0, 1, 2, 3000, 1000, 0, 0, 0, '', NULL, NULL, '{}'),
('plum', 'H0001', 'household', '1-0001', 'holder 1', '', 'normal', 'single', 7721, -108750000, 11, 0, 3000, 1000, 0, 0, 0, '', NULL, NULL, '{}'),
('plum', 'H0002', 'household', '1-0002', 'holder 2', '', 'normal', 'single', 2270, -18125000, 10, 1, 3000, 1000, 0, 0, 0, '', NULL, NULL, '{}'),
('plum', 'H0003', 'household', '1-0003', 'holder 3', '', 'normal', 'tou', 6660, 0, 10, 0, 3000, 1000, 0, 0, 0, '', NULL, NULL, '{}'),
('plum', 'provider:sandbox', 'provider:sandbox', NULL, '', '', 'normal', NULL, -5700, 0, 2, 3, 3000, 1000, 0, 0, 0, '', NULL, NULL, '{}'),
('plum', 'provider:client:client-1', 'provider:client:client-1', NULL, '', '', 'normal', NULL, -1500, 0, 1, 3, 3000, 1000, 0, 0, 0, '', NULL, NULL, '{}');
INSERT INTO alert (estate_id, alert_id, kind, from_at, until_at, reason, actor, created_ms) VALUES
('plum', 'alert_id of old', 'clock', 1, 1, 'reason of old', 'zhou', 1700000000000);
INSERT INTO anomaly_case (estate_id, case_id, kind, subject, room_id, severity, status, evidence, opened_at, opened_ms, owner, resolution, closed_ms) VALUES
('plum', '9601bb77d7cb4cefaac62e9a0e0ac00f', 'backwards', '202600000002', '1-0002', 'high', 'open', '{"step_back_wh": 10000, "register_accepted_wh": 1009000, "accepted_at": 1791939900, "register_read_wh": 999000, "read_at": 1791950700}', 1791961500, 1700108000000, '', '', NULL);
INSERT INTO api_client (estate_id, client_id, name, secret, scopes, active) VALUES
('plum', 'client_id of old', 'name of old', 'secret of old', 'scopes of old', 1);
INSERT INTO app_user (estate_id, user_id, login, password_hash, role, name, account_id, language, active, failures, locked_until_ms) VALUES
('plum', 'user_id of old', 'zhou', 'password_hash of old', 'role of old', 'name of old', 'H0001', 'language of old', 1, 1, 1);
INSERT INTO approval (estate_id, approval_id, kind, payload, payload_sha256, requested_by, requested_ms, expires_ms, approved_by, approved_ms, status) VALUES
('plum', 'approval_id of old', 'clock', '{}', 'payload_sha256 of old', 'requested_by of old', 1, 1, 'approved_by of old', 1, 'open');
INSERT INTO audit (estate_id, audit_id, actor, verb, subject, detail, world_at, created_ms) VALUES
('plum', 'dc36483958fc4174b1b36887985f5e1b', 'sandbox', 'payment.suspense', 'a9068ff76a66492f9a34f04aeed8e4b6', '700 fen of sandbox, transaction t2: unknown order', 1791943500, 1700090000000),
('plum', 'dd8e656af2ab43c8a4f068ce90bd8ce7', 'lin', 'topup.sold', 'H0002', '2000 fen, acda91fa544c452182226eb18a0062ad', 1791947100, 1700093600000);
INSERT INTO batch (estate_id, batch_seq, kind, event_at, created_ms, idem_key, payload_sha256, lines, turnover_fen, actor, memo) VALUES
('plum', 1, 'opening', 1791853500, 1700000000000, 'opening:H0001', '10808658f8aa80ed4ba7bc7d16b01829e8f03e11ad36655e7cf48dc8af4d4d3c', 2, 5000, 'import', ''),
('plum', 2, 'opening', 1791853500, 1700000000000, 'opening:H0002', 'dff255dcee9a469b22a5d0c9fdbfb98fad47c4526655660be40056a64d6c9336', 2, 300, 'import', ''),
('plum', 3, 'opening', 1791853500, 1700000000000, 'opening:H0003', '24976cbc9ed0db9617d9134f4e7dc8e5375acfcfe5f2dca0bbb0d85a6f23d190', 2, 5000, 'import', ''),
('plum', 4, 'charge', 1791867900, 1700014400000, 'charge:58b03db958aff1de85be90c52ed0cfba0cd81fb8d1014df680e4a0c29ebafb87', '57d9d18e0a8a4506086aabfae0ad92d8b4517534784391020e94f288c91c3af4', 4, 708, 'system', ''),
('plum', 5, 'topup', 1791853500, 1700000000000, 'key-1', 'fa357d7c734ef71e5a668a024eb34bc41419cbcce13219d17a9be595cd4a47e1', 2, 100, 'test', ''),
('plum', 6, 'charge', 1791882300, 1700028800000, 'charge:866425896c17733e47f8ff140a31e3a889c8879e187aba1c4542f2c2c7b3c0be', '53111a8bf5e805a4d25f4a4ff2c1d025eb70c40d3bbbd1d250633cd1a45a4ce1', 4, 709, 'system', ''),
('plum', 7, 'topup', 1791853500, 1700000000000, 'key-2', '708aee39e9aca147bb5dd789d5172b7accc1c66c70db6a7bb0f842126a91e29f', 2, 200, 'test', ''),
('plum', 8, 'charge', 1791896700, 1700043200000, 'charge:2219f85a183e02ac21e9c45a3f3f8cff110c2d3fd00fa39348eb24bf23d024d6', '76d2a63cd8dd893465312981d4312e60299d62fec9a0c08c1a6a79b1a8c55968', 4, 708, 'system', ''),
('plum', 9, 'topup', 1791853500, 1700000000000, 'key-3', '805b3fc47a9261ff5311b3fdace4d994fcbf65acb1f312b6595c317e07cb5a5b', 2, 300, 'test', ''),
('plum', 10, 'charge', 1791911100, 1700057600000, 'charge:033df8f4f3f4b9a71052b5beafe7280480d9a365fca96fb2b9e8a76af307d9f3', 'c9dd06e4fa8016d67fd906b2ac8fc659c8e90eb9fd5718151e0d9fa0122e16a5', 4, 708, 'system', ''),
('plum', 11, 'topup', 1791853500, 1700000000000, 'key-4', '524c818cc7cb3b82219f4d184ab5e90cd79c1725d78ac981b87027481c9345d0', 2, 400, 'test', ''),
('plum', 12, 'charge', 1791925500, 1700072000000, 'charge:017d3879edb20c3b46b7587f81a0766590319d728e7a890034ad6c6ab4444501', 'c0a05f0c1378d42addc0a722d3df0f8a318991a4c902bdd319bfc6428f79254f', 4, 709, 'system', ''),
('plum', 13, 'topup', 1791853500, 1700000000000, 'key-5', '5633c0cb10a2186ade339a0e830ad8181ca0be0d2074939534a27070d6279cd0', 2, 500, 'test', ''),
('plum', 14, 'charge', 1791939900, 1700086400000, 'charge:bbce04ec0222531abeb618fb140636844304b28824cab14b8a139f0f86d73198', '19767e3ebc9c892d76dc62570d976159b49428524b7a06a0a9cfaa8532231a97', 4, 708, 'system', ''),
('plum', 15, 'topup', 1791853500, 1700000000000, 'key-6', 'd082ec1be003f75c9f564852047d79dfddb2ba09bba2edd0a3eca2834c469a6a', 2, 600, 'test', ''),
('plum', 16, 'topup', 1791943500, 1700090000000, 'topup:sandbox:t1', 'd8601ccde51274b60c903a813036bd0da939b250558dc1ff9c6761659b4f304c', 2, 5000, 'sandbox', ''),
('plum', 17, 'topup', 1791943500, 1700090000000, 'topup:sandbox:t2', '94573f1c946d726eeae0ff66c2ec9bbf282444c852e5bd0f782f61f68bb10e35', 2, 700, 'sandbox', ''),
('plum', 18, 'topup', 1791947100, 1700093600000, 'topup:cash:acda91fa544c452182226eb18a0062ad', 'dc060dbc637931d7e6a35c08ccad3adf1e8c9d66f9fab6386f9b7f0bf510b648', 2, 2000, 'lin', ''),
('plum', 19, 'topup', 1791947100, 1700093600000, 'topup:client:client-1:x1', '4e24cae143c66e626103e3fd3d5ba8dbea518fed8417307610dc8b7120478c69', 2, 1500, 'client:client-1', ''),
('plum', 20, 'topup', 1791853500, 1700000000000, 'after the last seal', '5cd91e8e16640c5620dcbe9a02781d59f72fe1ad9512ca4001a5de2d810fe32f', 2, 1, 'test', '');
INSERT INTO building (estate_id, building_id, name, position) VALUES
('plum', '1', 'Building 1', 0);
INSERT INTO bus (estate_id, bus_id, url, baud, parity, stop_bits, reply_delay_max_ms, frame_gap_ms, attempts_max, rs485) VALUES
('plum', 'bus-1', '/dev/ttyUSB0', 2400, 'E', 1, 1000, 30, 3, 0);
INSERT INTO callback_inbox (estate_id, provider, event_id, body, verdict, received_ms) VALUES
('plum', 'sandbox', 'e-t1', '{"paid": true}', 'credited', 1700090000000),
('plum', 'sandbox', 'e-t2', '{"paid": true}', 'suspense', 1700090000000);
INSERT INTO case_event (estate_id, case_id, event_no, verb, actor, note, world_at, created_ms) VALUES
('plum', '9601bb77d7cb4cefaac62e9a0e0ac00f', 1, 'opened', 'system', '', 1791961500, 1700108000000);
INSERT INTO estate (estate_id, name, time_zone, mode, close_policy, reading_cycle_s, billing_cycle_s, grace_s, command_ttl_s, reading_fresh_s, protected_from_min, protected_to_min, protect_weekends, protect_holidays, trips_per_hour_max, trips_per_day_max, breaker, breaker_reason, stopped, phone, trips_without_deadline, spread_s, scheme_id, limits_at) VALUES
('plum', 'Plum Garden', 'Asia/Shanghai', 'observe', 'allow', 900, 3600, 86400, 120, 1800, 1020, 540, 1, 1, NULL, NULL, 'closed', '', 0, '', 0, 1800, NULL, 0);
INSERT INTO holiday (estate_id, day, kind, name) VALUES
('plum', '2026-10-13', 'clock', 'name of old');
INSERT INTO idempotency (estate_id, client_id, idem_key, body_sha256, status, answer, created_ms) VALUES
('plum', 'counter', 'sale-00000001', 'cc8a2cc22455c7d74abd983a18b6e7e6f3ad0b6f6b03ecf969e6ac39f3e4496c', 200, '{"order_no": "acda91fa544c452182226eb18a0062ad", "batch_seq": 18, "balance_fen": 2270}', 1700093600000),
('plum', 'client-1', 'p-1', '00', 200, '{"result": "credited", "transaction_id": "x1", "amount_fen": 1500, "batch_seq": 19, "balance_fen": 6660}', 1700093600000);
INSERT INTO line (estate_id, batch_seq, line_no, account_id, amount_fen, balance_after_fen, account_version, charge_nf, residue_after_nf, meter_id, install_no, tariff_id, from_wh, to_wh, from_rates_wh, to_rates_wh, tier_period_start, tier_from_wh, event_from, event_to) VALUES
('plum', 1, 1, 'H0001', 5000, 5000, 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 1, 2, 'opening', -5000, -5000, 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 2, 1, 'H0002', 300, 300, 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 2, 2, 'opening', -300, -5300, 2, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 3, 1, 'H0003', 5000, 5000, 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 3, 2, 'opening', -5000, -10300, 3, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 4, 1, 'H0001', -530, 4470, 2, 529981875000, -18125000, '202600000001', 1, 'single', 1000000, 1009000, NULL, NULL, 1790784000, 0, 1791853500, 1791867900),
('plum', 4, 2, 'H0002', -88, 212, 2, 88330312500, 330312500, '202600000002', 1, 'single', 1000000, 1001500, NULL, NULL, 1790784000, 0, 1791853500, 1791867900),
('plum', 4, 3, 'H0003', -90, 4910, 2, 90000000000, 0, '202600000003', 1, 'tou', 1000000, 1001000, '1000,2000,3000,4000', '1400,2300,3200,4100', 0, 0, 1791853500, 1791867900),
('plum', 4, 4, 'revenue', 708, 708, 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 5, 1, 'H0002', 100, 312, 3, 0, 330312500, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 5, 2, 'cash', -100, -100, 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 6, 1, 'H0001', -530, 3940, 3, 529981875000, -36250000, '202600000001', 1, 'single', 1009000, 1018000, NULL, NULL, 1790784000, 9000, 1791867900, 1791882300),
('plum', 6, 2, 'H0002', -89, 223, 4, 88330312500, -339375000, '202600000002', 1, 'single', 1001500, 1003000, NULL, NULL, 1790784000, 1500, 1791867900, 1791882300),
('plum', 6, 3, 'H0003', -90, 4820, 3, 90000000000, 0, '202600000003', 1, 'tou', 1001000, 1002000, '1400,2300,3200,4100', '1800,2600,3400,4200', 0, 1000, 1791867900, 1791882300),
('plum', 6, 4, 'revenue', 709, 1417, 2, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 7, 1, 'H0003', 200, 5020, 4, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 7, 2, 'cash', -200, -300, 2, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 8, 1, 'H0001', -530, 3410, 4, 529981875000, -54375000, '202600000001', 1, 'single', 1018000, 1027000, NULL, NULL, 1790784000, 18000, 1791882300, 1791896700),
('plum', 8, 2, 'H0002', -88, 135, 5, 88330312500, -9062500, '202600000002', 1, 'single', 1003000, 1004500, NULL, NULL, 1790784000, 3000, 1791882300, 1791896700),
('plum', 8, 3, 'H0003', -90, 4930, 5, 90000000000, 0, '202600000003', 1, 'tou', 1002000, 1003000, '1800,2600,3400,4200', '2200,2900,3600,4300', 0, 2000, 1791882300, 1791896700),
('plum', 8, 4, 'revenue', 708, 2125, 3, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 9, 1, 'H0001', 300, 3710, 5, 0, -54375000, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 9, 2, 'cash', -300, -600, 3, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 10, 1, 'H0001', -530, 3180, 6, 529981875000, -72500000, '202600000001', 1, 'single', 1027000, 1036000, NULL, NULL, 1790784000, 27000, 1791896700, 1791911100),
('plum', 10, 2, 'H0002', -88, 47, 6, 88330312500, 321250000, '202600000002', 1, 'single', 1004500, 1006000, NULL, NULL, 1790784000, 4500, 1791896700, 1791911100),
('plum', 10, 3, 'H0003', -90, 4840, 6, 90000000000, 0, '202600000003', 1, 'tou', 1003000, 1004000, '2200,2900,3600,4300', '2600,3200,3800,4400', 0, 3000, 1791896700, 1791911100),
('plum', 10, 4, 'revenue', 708, 2833, 4, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 11, 1, 'H0002', 400, 447, 7, 0, 321250000, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 11, 2, 'cash', -400, -1000, 4, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 12, 1, 'H0001', -530, 2650, 7, 529981875000, -90625000, '202600000001', 1, 'single', 1036000, 1045000, NULL, NULL, 1790784000, 36000, 1791911100, 1791925500),
('plum', 12, 2, 'H0002', -89, 358, 8, 88330312500, -348437500, '202600000002', 1, 'single', 1006000, 1007500, NULL, NULL, 1790784000, 6000, 1791911100, 1791925500),
('plum', 12, 3, 'H0003', -90, 4750, 7, 90000000000, 0, '202600000003', 1, 'tou', 1004000, 1005000, '2600,3200,3800,4400', '3000,3500,4000,4500', 0, 4000, 1791911100, 1791925500),
('plum', 12, 4, 'revenue', 709, 3542, 5, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 13, 1, 'H0003', 500, 5250, 8, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 13, 2, 'cash', -500, -1500, 5, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 14, 1, 'H0001', -530, 2120, 8, 529981875000, -108750000, '202600000001', 1, 'single', 1045000, 1054000, NULL, NULL, 1790784000, 45000, 1791925500, 1791939900),
('plum', 14, 2, 'H0002', -88, 270, 9, 88330312500, -18125000, '202600000002', 1, 'single', 1007500, 1009000, NULL, NULL, 1790784000, 7500, 1791925500, 1791939900),
('plum', 14, 3, 'H0003', -90, 5160, 9, 90000000000, 0, '202600000003', 1, 'tou', 1005000, 1006000, '3000,3500,4000,4500', '3400,3800,4200,4600', 0, 5000, 1791925500, 1791939900),
('plum', 14, 4, 'revenue', 708, 4250, 6, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 15, 1, 'H0001', 600, 2720, 9, 0, -108750000, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 15, 2, 'cash', -600, -2100, 6, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 16, 1, 'H0001', 5000, 7720, 10, 0, -108750000, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 16, 2, 'provider:sandbox', -5000, -5000, 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 17, 1, 'suspense', 700, 700, 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 17, 2, 'provider:sandbox', -700, -5700, 2, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 18, 1, 'H0002', 2000, 2270, 10, 0, -18125000, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 18, 2, 'cash', -2000, -4100, 7, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 19, 1, 'H0003', 1500, 6660, 10, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 19, 2, 'provider:client:client-1', -1500, -1500, 1, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 20, 1, 'H0001', 1, 7721, 11, 0, -108750000, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 20, 2, 'cash', -1, -4101, 8, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO login_failure (place, login, failures, until_ms) VALUES
('place of old', 'zhou', 1, 1);
INSERT INTO login_session (token_sha256, estate_id, user_id, created_ms, expires_ms, csrf) VALUES
('token_sha256 of old', 'plum', 'user_id of old', 1700000000000, 1, 'csrf of old');
INSERT INTO meter (estate_id, meter_id, kind, bus_id, account_id, room_id, gate_id, install_no, start_wh, start_rate1_wh, start_rate2_wh, start_rate3_wh, start_rate4_wh, installed_at, ratio, max_power_w, protocol, password_level, password, model, unit) VALUES
('plum', '202600000001', 'household', 'bus-1', 'H0001', '1-0001', '202699000001', 1, 1000000, NULL, NULL, NULL, NULL, 1791853500, 1, 15840, '2007', 2, '000000', '', NULL),
('plum', '202600000002', 'household', 'bus-1', 'H0002', '1-0002', '202699000001', 1, 1000000, NULL, NULL, NULL, NULL, 1791853500, 1, 15840, '2007', 2, '000000', '', NULL),
('plum', '202600000003', 'household', 'bus-1', 'H0003', '1-0003', '202699000001', 1, 1000000, 1000, 2000, 3000, 4000, 1791853500, 1, 15840, '2007', 2, '000000', '', NULL),
('plum', '202699000001', 'gate', 'bus-1', NULL, 'gate of 1', NULL, 1, 0, NULL, NULL, NULL, NULL, 1791853500, 1, 1000000, '2007', 2, '000000', '', NULL);
INSERT INTO meter_cursor (estate_id, meter_id, install_no, seq, read_at, total_wh, rate1_wh, rate2_wh, rate3_wh, rate4_wh, tier_period_start, tier_period_wh, order_start, order_rates_wh) VALUES
('plum', '202600000001', 1, 6, 1791939900, 1054000, NULL, NULL, NULL, NULL, 1790784000, 54000, 0, NULL),
('plum', '202600000002', 1, 6, 1791939900, 1009000, NULL, NULL, NULL, NULL, 1790784000, 9000, 0, NULL),
('plum', '202600000003', 1, 6, 1791939900, 1006000, 3400, 3800, 4200, 4600, 0, 6000, 0, NULL);
INSERT INTO meter_live (estate_id, meter_id, contact_at, contact_ms, failures, total_wh, reading_at, reading_ms, previous_wh, previous_ms, voltage_mv, current_ma, power_mw, variables_at, status3, status3_at, status3_ms, clock_offset_s) VALUES
('plum', '202600000001', 1791939900, 1700086400000, 0, 1054000, 1791939900, 1700086400000, 1045000, 1700072000000, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', '202600000002', 1791950700, 1700097200000, 0, 1009000, 1791939900, 1700086400000, 1007500, 1700072000000, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', '202600000003', 1791939900, 1700086400000, 0, 1006000, 1791939900, 1700086400000, 1005000, 1700072000000, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', '202699000001', NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO notice (estate_id, notice_id, account_id, kind, channel, arguments, status, event_at, created_ms, sent_ms, delivered_at, delivered_ms, attempts, failure, not_before_at) VALUES
('plum', 'ec291dab085f40e9b280dfbbf803f0ad', 'H0001', 'alarm1', 'page', '{"balance_fen": 2650, "room": "1-0001"}', 'queued', 1791925500, 1700072000000, NULL, NULL, NULL, 0, '', 1791925500),
('plum', 'dc00d2dfb3324a72b2cb64253e9e8cd6', 'H0001', 'alarm1', 'sandbox', '{"balance_fen": 2650, "room": "1-0001"}', 'queued', 1791925500, 1700072000000, NULL, NULL, NULL, 0, '', 1791925500),
('plum', '4ebce60bfc344099b44acd9bf5c75bf3', 'H0001', 'topup', 'page', '{"amount_fen": 5000, "balance_fen": 7720, "room": "1-0001"}', 'queued', 1791943500, 1700090000000, NULL, NULL, NULL, 0, '', 0),
('plum', 'c11d5fa7d3114129830feb67448e8be6', 'H0001', 'topup', 'sandbox', '{"amount_fen": 5000, "balance_fen": 7720, "room": "1-0001"}', 'queued', 1791943500, 1700090000000, NULL, NULL, NULL, 0, '', 0),
('plum', 'a1dd5e0dbc1e489593216f726240ecce', 'H0002', 'topup', 'page', '{"amount_fen": 2000, "balance_fen": 2270, "room": "1-0002"}', 'queued', 1791947100, 1700093600000, NULL, NULL, NULL, 0, '', 0),
('plum', '37d07a019dee45acbcd16a86ad357375', 'H0002', 'topup', 'sandbox', '{"amount_fen": 2000, "balance_fen": 2270, "room": "1-0002"}', 'queued', 1791947100, 1700093600000, NULL, NULL, NULL, 0, '', 0),
('plum', 'a2cdd5313059448d843fa05b79d95d9e', 'H0003', 'topup', 'page', '{"amount_fen": 1500, "balance_fen": 6660, "room": "1-0003"}', 'queued', 1791947100, 1700093600000, NULL, NULL, NULL, 0, '', 0),
('plum', '2ccf497143494304987c59fc4f3f6c3e', 'H0003', 'topup', 'sandbox', '{"amount_fen": 1500, "balance_fen": 6660, "room": "1-0003"}', 'queued', 1791947100, 1700093600000, NULL, NULL, NULL, 0, '', 0);
INSERT INTO payment (estate_id, payment_id, provider, transaction_id, order_no, account_id, amount_fen, batch_seq, event_at, created_ms, state) VALUES
('plum', '551d7575c99e45b581a9dfdf7e65fcb3', 'sandbox', 't1', 'b785952dbbb04ef4b053df2f42f67cbe', 'H0001', 5000, 16, 1791943500, 1700090000000, 'credited'),
('plum', 'a9068ff76a66492f9a34f04aeed8e4b6', 'sandbox', 't2', 'ffffffffffffffffffffffffffffffff', NULL, 700, 17, 1791943500, 1700090000000, 'suspense'),
('plum', '6e0b9c3e59a54176a71b2a0b9c817afd', 'cash', 'acda91fa544c452182226eb18a0062ad', 'acda91fa544c452182226eb18a0062ad', 'H0002', 2000, 18, 1791947100, 1700093600000, 'credited'),
('plum', '6a0af7d167bd40a59b10b18ddfc0b1e9', 'client:client-1', 'x1', 'a20855b915384db6acbb95566ee887c6', 'H0003', 1500, 19, 1791947100, 1700093600000, 'credited');
INSERT INTO payment_order (estate_id, order_no, account_id, amount_fen, provider, channel, status, token_sha256, created_ms, created_at, paid_ms, payment_id, actor, powered_off, confirmed_ms, button_ms) VALUES
('plum', 'b785952dbbb04ef4b053df2f42f67cbe', 'H0001', 5000, 'sandbox', 'online', 'paid', '0042b2f47f0ee2fcdbae288249fcccd649593dee8a5c93480312a8044f8b03bf', 1700090000000, 1791943500, 1700090000000, '551d7575c99e45b581a9dfdf7e65fcb3', 'anna', 0, NULL, NULL),
('plum', 'acda91fa544c452182226eb18a0062ad', 'H0002', 2000, 'cash', 'counter', 'paid', '', 1700093600000, 1791947100, 1700093600000, '6e0b9c3e59a54176a71b2a0b9c817afd', 'lin', 0, NULL, NULL),
('plum', 'a20855b915384db6acbb95566ee887c6', 'H0003', 1500, 'client:client-1', 'third_party', 'paid', '', 1700093600000, 1791947100, 1700093600000, '6a0af7d167bd40a59b10b18ddfc0b1e9', 'client:client-1', 0, NULL, NULL);
INSERT INTO reading (estate_id, read_at, meter_id, install_no, received_ms, total_wh, rate1_wh, rate2_wh, rate3_wh, rate4_wh, reverse_wh, source, verdict, reason, raw_hex) VALUES
('plum', 1791867900, '202600000001', 1, 1700014400000, 1009000, NULL, NULL, NULL, NULL, NULL, 'live', 'accepted', 'forward within the meter''s power', ''),
('plum', 1791867900, '202600000002', 1, 1700014400000, 1001500, NULL, NULL, NULL, NULL, NULL, 'live', 'accepted', 'forward within the meter''s power', ''),
('plum', 1791867900, '202600000003', 1, 1700014400000, 1001000, 1400, 2300, 3200, 4100, NULL, 'live', 'accepted', 'forward within the meter''s power', ''),
('plum', 1791882300, '202600000001', 1, 1700028800000, 1018000, NULL, NULL, NULL, NULL, NULL, 'live', 'accepted', 'forward within the meter''s power', ''),
('plum', 1791882300, '202600000002', 1, 1700028800000, 1003000, NULL, NULL, NULL, NULL, NULL, 'live', 'accepted', 'forward within the meter''s power', ''),
('plum', 1791882300, '202600000003', 1, 1700028800000, 1002000, 1800, 2600, 3400, 4200, NULL, 'live', 'accepted', 'forward within the meter''s power', ''),
('plum', 1791896700, '202600000001', 1, 1700043200000, 1027000, NULL, NULL, NULL, NULL, NULL, 'live', 'accepted', 'forward within the meter''s power', ''),
('plum', 1791896700, '202600000002', 1, 1700043200000, 1004500, NULL, NULL, NULL, NULL, NULL, 'live', 'accepted', 'forward within the meter''s power', ''),
('plum', 1791896700, '202600000003', 1, 1700043200000, 1003000, 2200, 2900, 3600, 4300, NULL, 'live', 'accepted', 'forward within the meter''s power', ''),
('plum', 1791911100, '202600000001', 1, 1700057600000, 1036000, NULL, NULL, NULL, NULL, NULL, 'live', 'accepted', 'forward within the meter''s power', ''),
('plum', 1791911100, '202600000002', 1, 1700057600000, 1006000, NULL, NULL, NULL, NULL, NULL, 'live', 'accepted', 'forward within the meter''s power', ''),
('plum', 1791911100, '202600000003', 1, 1700057600000, 1004000, 2600, 3200, 3800, 4400, NULL, 'live', 'accepted', 'forward within the meter''s power', ''),
('plum', 1791925500, '202600000001', 1, 1700072000000, 1045000, NULL, NULL, NULL, NULL, NULL, 'live', 'accepted', 'forward within the meter''s power', ''),
('plum', 1791925500, '202600000002', 1, 1700072000000, 1007500, NULL, NULL, NULL, NULL, NULL, 'live', 'accepted', 'forward within the meter''s power', ''),
('plum', 1791925500, '202600000003', 1, 1700072000000, 1005000, 3000, 3500, 4000, 4500, NULL, 'live', 'accepted', 'forward within the meter''s power', ''),
('plum', 1791939900, '202600000001', 1, 1700086400000, 1054000, NULL, NULL, NULL, NULL, NULL, 'live', 'accepted', 'forward within the meter''s power', ''),
('plum', 1791939900, '202600000002', 1, 1700086400000, 1009000, NULL, NULL, NULL, NULL, NULL, 'live', 'accepted', 'forward within the meter''s power', ''),
('plum', 1791939900, '202600000003', 1, 1700086400000, 1006000, 3400, 3800, 4200, 4600, NULL, 'live', 'accepted', 'forward within the meter''s power', ''),
('plum', 1791950700, '202600000002', 1, 1700097200000, 999000, NULL, NULL, NULL, NULL, NULL, 'live', 'backwards', '10000 Wh backwards: reset or replacement suspected', '');
INSERT INTO register_day (estate_id, meter_id, day, first_wh, total_wh, read_at, source) VALUES
('plum', '202600000001', '2026-10-13', 1000000, 1027000, 1791896700, 'live'),
('plum', '202600000002', '2026-10-13', 1000000, 1004500, 1791896700, 'live'),
('plum', '202600000003', '2026-10-13', 1000000, 1003000, 1791896700, 'live'),
('plum', '202600000001', '2026-10-14', 1036000, 1054000, 1791939900, 'live'),
('plum', '202600000002', '2026-10-14', 1006000, 1009000, 1791939900, 'live'),
('plum', '202600000003', '2026-10-14', 1004000, 1006000, 1791939900, 'live');
INSERT INTO relay_attempt (estate_id, meter_id, gen, step_no, step, world_at, created_ms, detail) VALUES
('plum', '202600000001', 1, 1, 'step of old', 1791853500, 1700000000000, 'detail of old');
INSERT INTO relay_desired (estate_id, meter_id, gen, state, action, reason, actor, decided_at, created_ms, expires_at, batch_ref, evidence) VALUES
('plum', '202600000001', 1, 'state of old', 'action of old', 'reason of old', 'zhou', 1, 1700000000000, 1, 'batch_ref of old', '{}');
INSERT INTO scheme (estate_id, scheme_id, version, name, valid_from, definition, actor, created_ms) VALUES
('plum', 'scheme_id of old', 1, 'name of old', 1, '{}', 'zhou', 1700000000000);
INSERT INTO seal (estate_id, batch_seq, lines_sha256, previous_hash, hash, sealed_ms) VALUES
('plum', 1, 'd0ab9055f6a17074483fb0f6768c8df4512977982b8cc7e738fb8da23a0636e9', '0000000000000000000000000000000000000000000000000000000000000000', 'd0cd8693be1ea358261e3298439f94dece21c8ceb793df3cd48f3f0e219b0276', 1701728000000),
('plum', 2, '20ddbe56310214b7815c77df62969f056db1d0d6dd3efcd196d3dbb3d6c3df9e', 'd0cd8693be1ea358261e3298439f94dece21c8ceb793df3cd48f3f0e219b0276', '69117744b112416319a22836b360fcf5dc422fda919688580bf4a459f61aaef4', 1701728000000),
('plum', 3, '6749036a9f4d1314f6e685d7404ef3aa5897822c8a79c79638cfc60cea37b727', '69117744b112416319a22836b360fcf5dc422fda919688580bf4a459f61aaef4', '0fbeac3d4f55130c2f2edaeadc153f88872b41abef34de6a41b5ee6b6b1e2a55', 1701728000000),
('plum', 4, 'dd3fe69947ac0fff3bcb5ff47d6e31a877570b7bc0c46f6209499069c9275c65', '0fbeac3d4f55130c2f2edaeadc153f88872b41abef34de6a41b5ee6b6b1e2a55', 'f7137e6c3c47c9667bf4f210f3d5aa0379b35b6381768fb33f680f8786734020', 1701728000000),
('plum', 5, 'ef2e31847e94891e944ab321fe23947bdeab0c083c3da4fdde714b9693d3e7f2', 'f7137e6c3c47c9667bf4f210f3d5aa0379b35b6381768fb33f680f8786734020', '3cb59788f19c24cc3ccb68d2e380566e6621c44823a8f9a0f1936f9ee978f4c6', 1701728000000),
('plum', 6, 'd8672cc214f553b45604a78ebdc78e8b399968577fad40598417f9d482cce7c2', '3cb59788f19c24cc3ccb68d2e380566e6621c44823a8f9a0f1936f9ee978f4c6', '7cd910aced0c3f36913f41d36379e9bbade22089674ca086d09da0682a1a8b1a', 1701728000000),
('plum', 7, '01a4170e7d7c83d1f1fe40f36349b230de24148989c9fce8506442ab974e317e', '7cd910aced0c3f36913f41d36379e9bbade22089674ca086d09da0682a1a8b1a', '70a32b4b5a4c7b724d5d1bb16cdddcf72728b3516821e46a8d02773a33694801', 1701728000000),
('plum', 8, '3ac5624100b21ee1aa8e42bc3ab033909a0516dcf461af16ef5640ba982f9f46', '70a32b4b5a4c7b724d5d1bb16cdddcf72728b3516821e46a8d02773a33694801', 'bc259342f045c034b438189810155647f1c9d2ce6b53ae76d94c818e8be13ad8', 1701728000000),
('plum', 9, '9822ac509854d0950c47e7f2d706a94dd54ab2c10e6abd1bbd9b313db32e33e6', 'bc259342f045c034b438189810155647f1c9d2ce6b53ae76d94c818e8be13ad8', 'b687259e4c810503771f648f52411c784282ef19794d5f060f35381d11280b57', 1701728000000),
('plum', 10, 'fbcdf2e6183fafffec32acbbca37ac9926120a4a3b92e956ae7cf54d984bfdab', 'b687259e4c810503771f648f52411c784282ef19794d5f060f35381d11280b57', '8e762e4847cbc189394ca3bea838b406b51ec3a3b5e8eb2073c7ac71ed5fe03f', 1701728000000),
('plum', 11, '4baac379ebd463ff22b6e5255c6086560076eb351388ec8eb8f8375842130570', '8e762e4847cbc189394ca3bea838b406b51ec3a3b5e8eb2073c7ac71ed5fe03f', '8f77444f1dc8ed63477c22059126d8b4cc410383d67990d709ef2529b85a7537', 1701728000000),
('plum', 12, '158761a52d419f5f7ed1ff5317dcaefd2d90747b3fef3bb4f7058121af3d79f5', '8f77444f1dc8ed63477c22059126d8b4cc410383d67990d709ef2529b85a7537', 'f6d2b1405772a30472288be83b85698af7e82e9a54f05930abaf388208567885', 1701728000000),
('plum', 13, 'cf0952f2be701446a16d1bc4d87e7620a114f6cd6ef7278fb4ab31b389ff7083', 'f6d2b1405772a30472288be83b85698af7e82e9a54f05930abaf388208567885', 'c5648e116a64c3fa3b74c803e76626fb81cbd6874b48466a82e29e4f7d4e495c', 1701728000000),
('plum', 14, '0fe160e82602b0bffae38461e2792d11dd851fb9b914e49e0ac1c4a342615cf6', 'c5648e116a64c3fa3b74c803e76626fb81cbd6874b48466a82e29e4f7d4e495c', '819463b9f435a0d9d0a9e8a2cd22e33f0548659580bc9abe41db1702e91ac331', 1701728000000),
('plum', 15, '5f33dfe85b43f57ca7361b2c6f6cdbc698b9eaef5a5cb89bd09428d17ee6f00d', '819463b9f435a0d9d0a9e8a2cd22e33f0548659580bc9abe41db1702e91ac331', '43f52feeeb0b30ac97c798e61e0d75d5b2f31842c61f77dbdb825bd0082349d6', 1701728000000),
('plum', 16, 'aba0a3610dd06620ec3d15ae1cab38ba463d6bbbe6cea01982c87c2524a8b812', '43f52feeeb0b30ac97c798e61e0d75d5b2f31842c61f77dbdb825bd0082349d6', '3e486ffabfab9ea4755d724516fc355d9230a4a62b42732e01bc3d884353a40b', 1701728000000),
('plum', 17, 'c5e01270406f7f55bd9f251f1c20fd26e1461fdd011c496e6405798ed166f4d8', '3e486ffabfab9ea4755d724516fc355d9230a4a62b42732e01bc3d884353a40b', 'bca2b82fc623ab86bba4ab942a187c15200257863b142feba9a326b0617db8a4', 1701728000000),
('plum', 18, 'aeb742bdf4de79354c94eb435d903c739cdd3bddf37c441bee39fedb135d7a61', 'bca2b82fc623ab86bba4ab942a187c15200257863b142feba9a326b0617db8a4', '01247508c4cfa1874dd2c8dd7328e5f51f9fc568e8ebb1f4bec2dd1a16bdfc95', 1701728000000),
('plum', 19, '5b62be50bec61ff7f7f95e82ddd94f649bc484df62e8be2966225e97960427c2', '01247508c4cfa1874dd2c8dd7328e5f51f9fc568e8ebb1f4bec2dd1a16bdfc95', 'c7eb45037c9c8c5a58afd0f8815663b8c416065c200c5a2ebde02049085d52df', 1701728000000);
INSERT INTO supply (estate_id, meter_id, gen, desired, relay, relay_at, relay_ms, opened_at, command, cause, candidate, candidate_at) VALUES
('plum', '202600000001', 0, 'closed', 'unknown', NULL, NULL, NULL, 'none', 'none', '', NULL),
('plum', '202600000002', 0, 'closed', 'unknown', NULL, NULL, NULL, 'none', 'none', '', NULL),
('plum', '202600000003', 0, 'closed', 'unknown', NULL, NULL, NULL, 'none', 'none', '', NULL);
INSERT INTO tariff (estate_id, tariff_id, name, definition, created_ms) VALUES
('plum', 'single', 'one price with two tiers a month', '{"id": "single", "name": "one price with two tiers a month", "time_zone": "Asia/Shanghai", "versions": [{"free_quota_wh": 0, "kind": "single", "order_rule": "none", "periods": [], "quota_fills_tier": true, "rate_prices_nf_per_wh": [58886875, 58886875, 58886875, 58886875], "seasons": [{"months": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], "tier_limits_wh": [200000, 400000]}], "settlement_day": 1, "tier_period": "month", "tier_period_start": 1, "tier_steps_nf_per_wh": [5000000, 25000000], "valid_from_s": 1609430400}]}', 1700000000000),
('plum', 'tou', 'four rates', '{"id": "tou", "name": "four rates", "time_zone": "Asia/Shanghai", "versions": [{"free_quota_wh": 0, "kind": "tou", "order_rule": "none", "periods": [{"from": "00:00", "rate": "valley", "to": "08:00"}, {"from": "08:00", "rate": "peak", "to": "22:00"}, {"from": "22:00", "rate": "valley", "to": "24:00"}], "quota_fills_tier": true, "rate_prices_nf_per_wh": [120000000, 90000000, 60000000, 30000000], "seasons": [{"months": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], "tier_limits_wh": []}], "settlement_day": 1, "tier_period": "none", "tier_period_start": 1, "tier_steps_nf_per_wh": [], "valid_from_s": 1609430400}]}', 1700000000000);
INSERT INTO room (estate_id, room_id, building_id, floor, door) VALUES
('plum', '1-0001', '1', 1, '0001'),
('plum', '1-0002', '1', 1, '0002'),
('plum', '1-0003', '1', 1, '0003');
