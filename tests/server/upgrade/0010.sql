INSERT INTO account (estate_id, account_id, kind, room_id, holder, phone, status, tariff_id, balance_fen, residue_nf, version, level, alarm1_fen, alarm2_fen, overdraft_fen, close_allowed_fen, protected, protected_reason, protected_until, scheme_id, own_rules) VALUES
('plum', 'revenue', 'revenue', NULL, '', '', 'normal', NULL, 7636, 0, 8, 0, 3000, 1000, 0, 0, 0, '', NULL, NULL, '{}'),
('plum', 'opening', 'opening', NULL, '', '', 'normal', NULL, -10300, 0, 3, 3, 3000, 1000, 0, 0, 0, '', NULL, NULL, '{}'),
('plum', 'cash', 'cash', NULL, '', '', 'normal', NULL, -4101, 0, 8, 3, 3000, 1000, 0, 0, 0, '', NULL, NULL, '{}'),
('plum', 'suspense', 'suspense', NULL, '', '', 'normal', NULL, 700, 0, 1, 2, 3000, 1000, 0, 0, 0, '', NULL, NULL, '{}'),
('plum', 'meter_credit', 'meter_credit', NULL, '', '', 'normal', NULL, 0, 0, 0, 0, 3000, 1000, 0, 0, 0, '', NULL, NULL, '{}'),
('plum', 'H0001', 'household', '1-0001', 'holder 1', '', 'normal', 'single', 5012, -312500000, 13, 0, 3000, 1000, 0, 0, 0, '', NULL, NULL, '{}'),
('plum', 'H0002', 'household', '1-0002', 'holder 2', '', 'normal', 'single', 1593, 180937500, 13, 1, 3000, 1000, 0, 0, 0, '', NULL, NULL, '{}'),
('plum', 'H0003', 'household', '1-0003', 'holder 3', '', 'normal', 'tou', 6660, 0, 10, 0, 3000, 1000, 0, 0, 0, '', NULL, NULL, '{}'),
('plum', 'provider:sandbox', 'provider:sandbox', NULL, '', '', 'normal', NULL, -5700, 0, 2, 3, 3000, 1000, 0, 0, 0, '', NULL, NULL, '{}'),
('plum', 'provider:client:client-1', 'provider:client:client-1', NULL, '', '', 'normal', NULL, -1500, 0, 1, 3, 3000, 1000, 0, 0, 0, '', NULL, NULL, '{}');
INSERT INTO alert (estate_id, alert_id, kind, from_at, until_at, reason, actor, created_ms) VALUES
('plum', 'alert_id of old', 'clock', 1, 1, 'reason of old', 'zhou', 1700000000000);
INSERT INTO anomaly_case (estate_id, case_id, kind, subject, room_id, severity, status, evidence, opened_at, opened_ms, owner, resolution, closed_ms) VALUES
('plum', '43e309aff9e44418b574a6c7bedd54e7', 'backwards', '202600000002', '1-0002', 'high', 'open', '{"step_back_wh": 10000, "register_accepted_wh": 1009000, "accepted_at": 1791939900, "register_read_wh": 999000, "read_at": 1791950700}', 1791961500, 1700108000000, '', '', NULL);
INSERT INTO api_client (estate_id, client_id, name, secret, scopes, active) VALUES
('plum', 'client_id of old', 'name of old', 'secret of old', 'scopes of old', 1);
INSERT INTO app_user (estate_id, user_id, login, password_hash, role, name, account_id, language, active, failures, locked_until_ms) VALUES
('plum', 'user_id of old', 'zhou', 'password_hash of old', 'role of old', 'name of old', 'H0001', 'language of old', 1, 1, 1);
INSERT INTO approval (estate_id, approval_id, kind, payload, payload_sha256, requested_by, requested_ms, expires_ms, approved_by, approved_ms, status) VALUES
('plum', 'approval_id of old', 'clock', '{}', 'payload_sha256 of old', 'requested_by of old', 1, 1, 'approved_by of old', 1, 'open');
INSERT INTO audit (estate_id, audit_id, actor, verb, subject, detail, world_at, created_ms) VALUES
('plum', '85083d7f834e4032addaa2bc5e26eb0f', 'sandbox', 'payment.suspense', 'd1b79bb95b4249cbbb6f10095a91b9c2', '700 fen of sandbox, transaction t2: unknown order', 1791943500, 1700090000000),
('plum', '421d8a9238b44e32928c067339f6ea3c', 'lin', 'topup.sold', 'H0002', '2000 fen, fdfe723b734749179a43d6efff7caf0b', 1791947100, 1700093600000),
('plum', '5620189b093e49d8b523d12277e28411', 'zhou', 'day.closed', '2026-10-31', 'a gap', 1793581500, 1701728000000),
('plum', '091901866bb14c23b371bea3851cffcd', 'zhou', 'month.closed', '2026-10', 'a gap', 1793581500, 1701728000000),
('plum', 'cd08877952e04f0bbaf64a57e5afbabc', 'zhou', 'meter.replacement', '202600000002', '202600000002 at 1020500 Wh, 202600000099 from 500 Wh, x 1: broken', 1793585100, 1701731600000);
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
('plum', 18, 'topup', 1791947100, 1700093600000, 'topup:cash:fdfe723b734749179a43d6efff7caf0b', 'dc060dbc637931d7e6a35c08ccad3adf1e8c9d66f9fab6386f9b7f0bf510b648', 2, 2000, 'lin', ''),
('plum', 19, 'topup', 1791947100, 1700093600000, 'topup:client:client-1:x1', '4e24cae143c66e626103e3fd3d5ba8dbea518fed8417307610dc8b7120478c69', 2, 1500, 'client:client-1', ''),
('plum', 20, 'charge', 1793581500, 1701728000000, 'charge:e04fc82f90b41e02d6a08d64dd516dfba90bd2e0746baf4859cc1310bad160b0', 'b93345b19dce929fc65c79d33a1e15b51590c8534ba586a086424af280bf904f', 5, 3357, 'system', '2 steps split by time at a tariff boundary'),
('plum', 21, 'charge', 1793585100, 1701731600000, 'charge:e9b781a660058868db3c4c68f50f387dd6d369b5218c48b02a5939ccde645749', '92d7a0b3f8485d5af15bf355bb5500ec686462ef660eba638daf47e94db6bcb8', 2, 29, 'system', ''),
('plum', 22, 'topup', 1791853500, 1700000000000, 'after the last seal', '5cd91e8e16640c5620dcbe9a02781d59f72fe1ad9512ca4001a5de2d810fe32f', 2, 1, 'test', '');
INSERT INTO building (estate_id, building_id, name, position) VALUES
('plum', '1', 'Building 1', 0);
INSERT INTO bulk_cut (estate_id, bulk_id, approval_id, status, reason, wave, wave_at, started_at, created_ms) VALUES
('plum', 'bulk_id of old', 'approval_id of old', 'open', 'reason of old', 1, 1, 1, 1700000000000);
INSERT INTO bulk_cut_item (estate_id, bulk_id, account_id, meter_id, wave, outcome) VALUES
('plum', 'bulk_id of old', 'H0001', '202600000001', 1, 'outcome of old');
INSERT INTO bus (estate_id, bus_id, url, baud, parity, stop_bits, reply_delay_max_ms, frame_gap_ms, attempts_max, rs485) VALUES
('plum', 'bus-1', '/dev/ttyUSB0', 2400, 'E', 1, 1000, 30, 3, 0);
INSERT INTO callback_inbox (estate_id, provider, event_id, body, verdict, received_ms) VALUES
('plum', 'sandbox', 'e-t1', '{"paid": true}', 'credited', 1700090000000),
('plum', 'sandbox', 'e-t2', '{"paid": true}', 'suspense', 1700090000000);
INSERT INTO candidate_day (estate_id, day, candidates) VALUES
('plum', '2026-10-13', 1);
INSERT INTO case_event (estate_id, case_id, event_no, verb, actor, note, world_at, created_ms) VALUES
('plum', '43e309aff9e44418b574a6c7bedd54e7', 1, 'opened', 'system', '', 1791961500, 1700108000000);
INSERT INTO estate (estate_id, name, time_zone, mode, close_policy, reading_cycle_s, billing_cycle_s, grace_s, command_ttl_s, reading_fresh_s, protected_from_min, protected_to_min, protect_weekends, protect_holidays, trips_per_hour_max, trips_per_day_max, breaker, breaker_reason, stopped, phone, trips_without_deadline, spread_s, scheme_id, limits_at, status_cycle_s, variables_cycle_s, clock_cycle_s, daily_freeze) VALUES
('plum', 'Plum Garden', 'Asia/Shanghai', 'observe', 'allow', 900, 3600, 86400, 120, 1800, 1020, 540, 1, 1, NULL, NULL, 'closed', '', 0, '', 0, 1800, NULL, 0, 900, 3600, 21600, 1);
INSERT INTO exchange (estate_id, exchange_id, kind, account_id, at, old_meter_id, old_install_no, old_ratio, old_max_power_w, old_start_wh, old_installed_at, final_wh, final_rates_wh, new_meter_id, new_install_no, new_ratio, start_wh, start_rates_wh, tier_period_start, tier_period_wh, order_start, order_rates_wh, actor, reason, created_ms) VALUES
('plum', 'c58037c69f5544f49eee6980c76f4856', 'replacement', 'H0002', 1793585100, '202600000002', 1, 1, 15840, 1000000, 1791853500, 1020500, NULL, '202600000099', 1, 1, 500, NULL, 1793462400, 1299, 0, NULL, 'zhou', 'broken', 1701731600000);
INSERT INTO holiday (estate_id, day, kind, name) VALUES
('plum', '2026-10-13', 'clock', 'name of old');
INSERT INTO idempotency (estate_id, client_id, idem_key, body_sha256, status, answer, created_ms) VALUES
('plum', 'counter', 'sale-00000001', 'cc8a2cc22455c7d74abd983a18b6e7e6f3ad0b6f6b03ecf969e6ac39f3e4496c', 200, '{"order_no": "fdfe723b734749179a43d6efff7caf0b", "batch_seq": 18, "balance_fen": 2270}', 1700093600000),
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
('plum', 20, 1, 'H0001', -2512, 5208, 11, 2512231861250, 123111250, '202600000001', 1, 'single', 1054000, 1096662, NULL, NULL, 1790784000, 54000, 1791939900, 1793462400),
('plum', 20, 2, 'H0002', -601, 1669, 11, 600705011875, -313113125, '202600000002', 1, 'single', 1009000, 1019201, NULL, NULL, 1790784000, 9000, 1791939900, 1793462400),
('plum', 20, 3, 'H0001', -197, 5011, 12, 196564388750, -312500000, '202600000001', 1, 'single', 1096662, 1100000, NULL, NULL, 1793462400, 0, 1793462400, 1793581500),
('plum', 20, 4, 'H0002', -47, 1622, 12, 47050613125, -262500000, '202600000002', 1, 'single', 1019201, 1020000, NULL, NULL, 1793462400, 0, 1793462400, 1793581500),
('plum', 20, 5, 'revenue', 3357, 7607, 7, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 21, 1, 'H0002', -29, 1593, 13, 29443437500, 180937500, '202600000002', 1, 'single', 1020000, 1020500, NULL, NULL, 1793462400, 799, 1793581500, 1793585100),
('plum', 21, 2, 'revenue', 29, 7636, 8, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 22, 1, 'H0001', 1, 5012, 13, 0, -312500000, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', 22, 2, 'cash', -1, -4101, 8, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO login_failure (place, login, failures, until_ms) VALUES
('place of old', 'zhou', 1, 1);
INSERT INTO login_session (token_sha256, estate_id, user_id, created_ms, expires_ms, csrf) VALUES
('token_sha256 of old', 'plum', 'user_id of old', 1700000000000, 1, 'csrf of old');
INSERT INTO meter (estate_id, meter_id, kind, bus_id, account_id, room_id, gate_id, install_no, start_wh, start_rate1_wh, start_rate2_wh, start_rate3_wh, start_rate4_wh, installed_at, ratio, max_power_w, protocol, password_level, password, model, unit, fee, customer) VALUES
('plum', '202600000001', 'household', 'bus-1', 'H0001', '1-0001', '202699000001', 1, 1000000, NULL, NULL, NULL, NULL, 1791853500, 1, 15840, '2007', 2, '000000', '', NULL, 'remote', ''),
('plum', '202600000002', 'household', '', NULL, '1-0002', NULL, 1, 1000000, NULL, NULL, NULL, NULL, 1791853500, 1, 15840, '2007', 2, '000000', '', NULL, 'remote', ''),
('plum', '202600000003', 'household', 'bus-1', 'H0003', '1-0003', '202699000001', 1, 1000000, 1000, 2000, 3000, 4000, 1791853500, 1, 15840, '2007', 2, '000000', '', NULL, 'remote', ''),
('plum', '202699000001', 'gate', 'bus-1', NULL, 'gate of 1', NULL, 1, 0, NULL, NULL, NULL, NULL, 1791853500, 1, 1000000, '2007', 2, '000000', '', NULL, 'remote', ''),
('plum', '202600000099', 'household', 'bus-1', 'H0002', '1-0002', '202699000001', 1, 500, NULL, NULL, NULL, NULL, 1793585100, 1, 15840, '2007', 2, '000000', '', NULL, 'remote', '');
INSERT INTO meter_cursor (estate_id, meter_id, install_no, seq, read_at, total_wh, rate1_wh, rate2_wh, rate3_wh, rate4_wh, tier_period_start, tier_period_wh, order_start, order_rates_wh) VALUES
('plum', '202600000001', 1, 7, 1793581500, 1100000, NULL, NULL, NULL, NULL, 1793462400, 3338, 0, NULL),
('plum', '202600000002', 1, 8, 1793585100, 1020500, NULL, NULL, NULL, NULL, 1793462400, 1299, 0, NULL),
('plum', '202600000003', 1, 6, 1791939900, 1006000, 3400, 3800, 4200, 4600, 0, 6000, 0, NULL),
('plum', '202600000099', 1, 0, 1793585100, 500, NULL, NULL, NULL, NULL, 1793462400, 1299, 0, NULL);
INSERT INTO meter_live (estate_id, meter_id, contact_at, contact_ms, failures, total_wh, reading_at, reading_ms, previous_wh, previous_ms, voltage_mv, current_ma, power_mw, variables_at, status3, status3_at, status3_ms, clock_offset_s, usual_w, usual_from, pending_wh, pending_at) VALUES
('plum', '202600000001', 1793581500, 1701728000000, 0, 1100000, 1793581500, 1701728000000, 1054000, 1700086400000, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 825, 1791853500, NULL, NULL),
('plum', '202600000002', 1793581500, 1701728000000, 0, 1020500, 1793585100, 1701731600000, 1020000, 1701728000000, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 500, 1791853500, NULL, NULL),
('plum', '202600000003', 1793581500, 1701728000000, 0, 1006000, 1791939900, 1700086400000, 1005000, 1700072000000, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 250, 1791853500, NULL, NULL),
('plum', '202699000001', NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('plum', '202600000099', NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO meter_setting (estate_id, meter_id, name, wanted, shown, status, detail, actor, tries, next_ms, created_ms, read_ms) VALUES
('plum', '202600000001', 'name of old', 1, 1, 'open', 'detail of old', 'zhou', 1, 1, 1700000000000, 1);
INSERT INTO notice (estate_id, notice_id, account_id, kind, channel, arguments, status, event_at, created_ms, sent_ms, delivered_at, delivered_ms, attempts, failure, not_before_at) VALUES
('plum', '2866964869b24454b4025e033093487e', 'H0001', 'alarm1', 'page', '{"balance_fen": 2650, "room": "1-0001"}', 'queued', 1791925500, 1700072000000, NULL, NULL, NULL, 0, '', 1791925500),
('plum', '0306dcbe324a47048b9b463d6b9e88be', 'H0001', 'alarm1', 'sandbox', '{"balance_fen": 2650, "room": "1-0001"}', 'queued', 1791925500, 1700072000000, NULL, NULL, NULL, 0, '', 1791925500),
('plum', '9c0c3ab3d87f4ae5959b1b45cbb324b4', 'H0001', 'topup', 'page', '{"amount_fen": 5000, "balance_fen": 7720, "room": "1-0001"}', 'queued', 1791943500, 1700090000000, NULL, NULL, NULL, 0, '', 0),
('plum', '39ad168d831d44cdba36e1357a3a444b', 'H0001', 'topup', 'sandbox', '{"amount_fen": 5000, "balance_fen": 7720, "room": "1-0001"}', 'queued', 1791943500, 1700090000000, NULL, NULL, NULL, 0, '', 0),
('plum', '23bc568abc494a109c72e41c8e994deb', 'H0002', 'topup', 'page', '{"amount_fen": 2000, "balance_fen": 2270, "room": "1-0002"}', 'queued', 1791947100, 1700093600000, NULL, NULL, NULL, 0, '', 0),
('plum', '5074f5e2d374431a86e3de9452641377', 'H0002', 'topup', 'sandbox', '{"amount_fen": 2000, "balance_fen": 2270, "room": "1-0002"}', 'queued', 1791947100, 1700093600000, NULL, NULL, NULL, 0, '', 0),
('plum', '686ea361f52848e48e5153769b3881c1', 'H0003', 'topup', 'page', '{"amount_fen": 1500, "balance_fen": 6660, "room": "1-0003"}', 'queued', 1791947100, 1700093600000, NULL, NULL, NULL, 0, '', 0),
('plum', 'a58a7c7a65844c498b90867fc73b63f6', 'H0003', 'topup', 'sandbox', '{"amount_fen": 1500, "balance_fen": 6660, "room": "1-0003"}', 'queued', 1791947100, 1700093600000, NULL, NULL, NULL, 0, '', 0);
INSERT INTO payment (estate_id, payment_id, provider, transaction_id, order_no, account_id, amount_fen, batch_seq, event_at, created_ms, state) VALUES
('plum', '1a1df2f079d845a295e81d275f976acb', 'sandbox', 't1', '7c5f34975edf4609983b8dfd19eaafc5', 'H0001', 5000, 16, 1791943500, 1700090000000, 'credited'),
('plum', 'd1b79bb95b4249cbbb6f10095a91b9c2', 'sandbox', 't2', 'ffffffffffffffffffffffffffffffff', NULL, 700, 17, 1791943500, 1700090000000, 'suspense'),
('plum', 'd53d3ae4c9c14ee69332c6fc2ee44198', 'cash', 'fdfe723b734749179a43d6efff7caf0b', 'fdfe723b734749179a43d6efff7caf0b', 'H0002', 2000, 18, 1791947100, 1700093600000, 'credited'),
('plum', '8230cf8c866d40348834f3c92648ca2a', 'client:client-1', 'x1', 'b0e8f43bccfb45d38a7c979e45fdce62', 'H0003', 1500, 19, 1791947100, 1700093600000, 'credited');
INSERT INTO payment_order (estate_id, order_no, account_id, amount_fen, provider, channel, status, token_sha256, created_ms, created_at, paid_ms, payment_id, actor, powered_off, confirmed_ms, button_ms) VALUES
('plum', '7c5f34975edf4609983b8dfd19eaafc5', 'H0001', 5000, 'sandbox', 'online', 'paid', 'dee6204da4878987305e7edf307f7dc6fc0047eb6ef35596a94b59b2b000e920', 1700090000000, 1791943500, 1700090000000, '1a1df2f079d845a295e81d275f976acb', 'anna', 0, NULL, NULL),
('plum', 'fdfe723b734749179a43d6efff7caf0b', 'H0002', 2000, 'cash', 'counter', 'paid', '', 1700093600000, 1791947100, 1700093600000, 'd53d3ae4c9c14ee69332c6fc2ee44198', 'lin', 0, NULL, NULL),
('plum', 'b0e8f43bccfb45d38a7c979e45fdce62', 'H0003', 1500, 'client:client-1', 'third_party', 'paid', '', 1700093600000, 1791947100, 1700093600000, '8230cf8c866d40348834f3c92648ca2a', 'client:client-1', 0, NULL, NULL);
INSERT INTO reading (estate_id, read_at, meter_id, install_no, received_ms, total_wh, rate1_wh, rate2_wh, rate3_wh, rate4_wh, reverse_wh, source, verdict, reason, raw_hex, rules) VALUES
('plum', 1791867900, '202600000001', 1, 1700014400000, 1009000, NULL, NULL, NULL, NULL, NULL, 'live', 'accepted', 'forward within the meter''s power', '', 2),
('plum', 1791867900, '202600000002', 1, 1700014400000, 1001500, NULL, NULL, NULL, NULL, NULL, 'live', 'accepted', 'forward within the meter''s power', '', 2),
('plum', 1791867900, '202600000003', 1, 1700014400000, 1001000, 1400, 2300, 3200, 4100, NULL, 'live', 'accepted', 'forward within the meter''s power', '', 2),
('plum', 1791882300, '202600000001', 1, 1700028800000, 1018000, NULL, NULL, NULL, NULL, NULL, 'live', 'accepted', 'forward within the meter''s power', '', 2),
('plum', 1791882300, '202600000002', 1, 1700028800000, 1003000, NULL, NULL, NULL, NULL, NULL, 'live', 'accepted', 'forward within the meter''s power', '', 2),
('plum', 1791882300, '202600000003', 1, 1700028800000, 1002000, 1800, 2600, 3400, 4200, NULL, 'live', 'accepted', 'forward within the meter''s power', '', 2),
('plum', 1791896700, '202600000001', 1, 1700043200000, 1027000, NULL, NULL, NULL, NULL, NULL, 'live', 'accepted', 'forward within the meter''s power', '', 2),
('plum', 1791896700, '202600000002', 1, 1700043200000, 1004500, NULL, NULL, NULL, NULL, NULL, 'live', 'accepted', 'forward within the meter''s power', '', 2),
('plum', 1791896700, '202600000003', 1, 1700043200000, 1003000, 2200, 2900, 3600, 4300, NULL, 'live', 'accepted', 'forward within the meter''s power', '', 2),
('plum', 1791911100, '202600000001', 1, 1700057600000, 1036000, NULL, NULL, NULL, NULL, NULL, 'live', 'accepted', 'forward within the meter''s power', '', 2),
('plum', 1791911100, '202600000002', 1, 1700057600000, 1006000, NULL, NULL, NULL, NULL, NULL, 'live', 'accepted', 'forward within the meter''s power', '', 2),
('plum', 1791911100, '202600000003', 1, 1700057600000, 1004000, 2600, 3200, 3800, 4400, NULL, 'live', 'accepted', 'forward within the meter''s power', '', 2),
('plum', 1791925500, '202600000001', 1, 1700072000000, 1045000, NULL, NULL, NULL, NULL, NULL, 'live', 'accepted', 'forward within the meter''s power', '', 2),
('plum', 1791925500, '202600000002', 1, 1700072000000, 1007500, NULL, NULL, NULL, NULL, NULL, 'live', 'accepted', 'forward within the meter''s power', '', 2),
('plum', 1791925500, '202600000003', 1, 1700072000000, 1005000, 3000, 3500, 4000, 4500, NULL, 'live', 'accepted', 'forward within the meter''s power', '', 2),
('plum', 1791939900, '202600000001', 1, 1700086400000, 1054000, NULL, NULL, NULL, NULL, NULL, 'live', 'accepted', 'forward within the meter''s power', '', 2),
('plum', 1791939900, '202600000002', 1, 1700086400000, 1009000, NULL, NULL, NULL, NULL, NULL, 'live', 'accepted', 'forward within the meter''s power', '', 2),
('plum', 1791939900, '202600000003', 1, 1700086400000, 1006000, 3400, 3800, 4200, 4600, NULL, 'live', 'accepted', 'forward within the meter''s power', '', 2),
('plum', 1791950700, '202600000002', 1, 1700097200000, 999000, NULL, NULL, NULL, NULL, NULL, 'live', 'backwards', '10000 Wh backwards: reset or replacement suspected', '', 2),
('plum', 1793581500, '202600000001', 1, 1701728000000, 1100000, NULL, NULL, NULL, NULL, NULL, 'live', 'accepted', 'forward within the meter''s power', '', 2),
('plum', 1793581500, '202600000002', 1, 1701728000000, 1020000, NULL, NULL, NULL, NULL, NULL, 'live', 'accepted', 'forward within the meter''s power', '', 2),
('plum', 1793581500, '202600000003', 1, 1701728000000, 1010000, 5900, 6300, 6700, 7100, NULL, 'live', 'sum_differs', 'the rates moved by 10000 Wh, the total by 4000 Wh', '', 2),
('plum', 1793585100, '202600000002', 1, 1701731600000, 1020500, NULL, NULL, NULL, NULL, NULL, 'manual', 'accepted', 'forward within the meter''s power', '', 2);
INSERT INTO reading_act (estate_id, meter_id, read_at, act_no, verdict_before, verdict_after, actor, reason, world_at, created_ms) VALUES
('plum', '202600000001', 1, 1, 'verdict_before of old', 'verdict_after of old', 'zhou', 'reason of old', 1791853500, 1700000000000);
INSERT INTO recharge (estate_id, recharge_id, account_id, meter_id, amount_fen, purchase_count, status, detail, remaining_fen, actor, tries, next_ms, created_ms, decided_ms) VALUES
('plum', 'recharge_id of old', 'H0001', '202600000001', 1, 1, 'open', 'detail of old', 1, 'zhou', 1, 1, 1700000000000, 1);
INSERT INTO register_day (estate_id, meter_id, day, first_wh, total_wh, read_at, source) VALUES
('plum', '202600000001', '2026-10-13', 1000000, 1027000, 1791896700, 'live'),
('plum', '202600000002', '2026-10-13', 1000000, 1004500, 1791896700, 'live'),
('plum', '202600000003', '2026-10-13', 1000000, 1003000, 1791896700, 'live'),
('plum', '202600000001', '2026-10-14', 1036000, 1054000, 1791939900, 'live'),
('plum', '202600000002', '2026-10-14', 1006000, 1009000, 1791939900, 'live'),
('plum', '202600000003', '2026-10-14', 1004000, 1006000, 1791939900, 'live'),
('plum', '202600000001', '2026-11-02', 1100000, 1100000, 1793581500, 'live'),
('plum', '202600000002', '2026-11-02', 1020000, 1020500, 1793585100, 'live');
INSERT INTO relay_attempt (estate_id, meter_id, gen, step_no, step, world_at, created_ms, detail) VALUES
('plum', '202600000001', 1, 1, 'step of old', 1791853500, 1700000000000, 'detail of old');
INSERT INTO relay_desired (estate_id, meter_id, gen, state, action, reason, actor, decided_at, created_ms, expires_at, batch_ref, evidence, not_before_ms) VALUES
('plum', '202600000001', 1, 'state of old', 'action of old', 'reason of old', 'zhou', 1, 1700000000000, 1, 'batch_ref of old', '{}', 1);
INSERT INTO scheme (estate_id, scheme_id, version, name, valid_from, definition, actor, created_ms) VALUES
('plum', 'scheme_id of old', 1, 'name of old', 1, '{}', 'zhou', 1700000000000);
INSERT INTO seal (estate_id, batch_seq, lines_sha256, previous_hash, hash, sealed_ms, form) VALUES
('plum', 1, '2bfff750e0a049c3bae896f9662472e8fda023d841fefc8d8cdfa2c5ba368acb', '0000000000000000000000000000000000000000000000000000000000000000', 'e845c8e57bba2aacdedc66d980cba46bd8d1800864c7dd1ea9035d2f13edddad', 1701728000000, 2),
('plum', 2, '73b4438e6ff1e647cb66b2b0b71400b349be51a556c2420cddb53c565c547351', 'e845c8e57bba2aacdedc66d980cba46bd8d1800864c7dd1ea9035d2f13edddad', '9b25e6c318e83730a45866b689ca5a10414a2478ac72e2f0024ae8117f1c073b', 1701728000000, 2),
('plum', 3, '242c39ca4e3954cb6fe1936c3d1b8dd1d37f48d94325fadfe84f20e26459fb0a', '9b25e6c318e83730a45866b689ca5a10414a2478ac72e2f0024ae8117f1c073b', '16d669aeda8156daa2fa90abf08f31ab9393c16b2c3a2447a2f8f0af46e7dff5', 1701728000000, 2),
('plum', 4, '65f9b59923ae04b86a2f224b68b63d9756c6cedc268ef64997e7829c291d1ee7', '16d669aeda8156daa2fa90abf08f31ab9393c16b2c3a2447a2f8f0af46e7dff5', '600e342f9c0e6e7430c31ab2b4cde69f2815e201b612d8116f397108983d61a4', 1701728000000, 2),
('plum', 5, '2b0941434d3f65466ec642af3800683e3fbd9ca2e49a34e46d5c5f9c5bd4e942', '600e342f9c0e6e7430c31ab2b4cde69f2815e201b612d8116f397108983d61a4', '4403c65136c7e6b5ae39661d950f31e404836765431810b55e21ebf00a53e86c', 1701728000000, 2),
('plum', 6, '20b6b8fa1b208b9c8671d916dcd63ad6f94cc8578f25822fdd225838137d2c10', '4403c65136c7e6b5ae39661d950f31e404836765431810b55e21ebf00a53e86c', 'eac5046c64755ff6ac98b7419e0c2d269c81827afaae0fbb0870bebc3ccfb233', 1701728000000, 2),
('plum', 7, '46001b88797f80cbf7c61933254342d51c58136dc2f51029023bbfe050c10aa8', 'eac5046c64755ff6ac98b7419e0c2d269c81827afaae0fbb0870bebc3ccfb233', '1c0d7abb033effe94c5bf6fc98d3abd5bc0417102ad3edf9d67fd69758e80edd', 1701728000000, 2),
('plum', 8, '9d65d90708034ede27a562222494becb0d9e9976a6bc75bfd3d3d06e720164f0', '1c0d7abb033effe94c5bf6fc98d3abd5bc0417102ad3edf9d67fd69758e80edd', '8bfa0367f6de204a64ed5a615018a3b3b154e7a105ea79db974da18b027e1f2d', 1701728000000, 2),
('plum', 9, 'd61f94fc106fc6a78503896a07ffe2cd25bcb4b5cd793effce6790ab6ce8f8ff', '8bfa0367f6de204a64ed5a615018a3b3b154e7a105ea79db974da18b027e1f2d', '04b67928c7a88f584ee1967c4194e2eb6983b6e2299607ad424b3e694dd8898c', 1701728000000, 2),
('plum', 10, '2c4509ac256cebfd3654000ea431d3aee0db7fea4ae0a833cdcdbea42b6cb732', '04b67928c7a88f584ee1967c4194e2eb6983b6e2299607ad424b3e694dd8898c', '41996dd6171e0228ba7c97eff81ad2a6d4cb5f926bdd820ac499e6a4b1b80af6', 1701728000000, 2),
('plum', 11, '6215e8920ab9010d702cbe3d28960b18d8528b874f66bab46a50b119c28d43ac', '41996dd6171e0228ba7c97eff81ad2a6d4cb5f926bdd820ac499e6a4b1b80af6', 'bf5d07703ffa12b8d7cf3f4d16035efad60ee088fb3c872c50ed15d47705a40f', 1701728000000, 2),
('plum', 12, 'd148cbf68970433fc302708b51667bd9d66e4299fa53fd2f065fcb19d8dcf48c', 'bf5d07703ffa12b8d7cf3f4d16035efad60ee088fb3c872c50ed15d47705a40f', 'f952cc116fb3f78cea52da19189d05837fc0e751e741365be5b6cd9244d953d8', 1701728000000, 2),
('plum', 13, '1ebc26ac9f2774c3fe8f92c96249d1271a4d38787eb2f53fb9ba70848ef65e0d', 'f952cc116fb3f78cea52da19189d05837fc0e751e741365be5b6cd9244d953d8', '0f2f6b83717f16a43464449a20b0ab86856cc34b454226c8b607e9fc338ec884', 1701728000000, 2),
('plum', 14, '813995da9d4f08b00e74e1aad6c7dfdc3c54ca6c67c2a9c6a1f58d11f9d9ae62', '0f2f6b83717f16a43464449a20b0ab86856cc34b454226c8b607e9fc338ec884', 'c3b6ed3fee1af5d386052fdbd2c81d47e0d4a24f83b666aa03dd09c6fc681a1c', 1701728000000, 2),
('plum', 15, 'a5152a584c583777ac6b3a310069499f16a1fefced15f0ea4ff7bc6600814026', 'c3b6ed3fee1af5d386052fdbd2c81d47e0d4a24f83b666aa03dd09c6fc681a1c', 'c844c8f10ce0a47053b713c5e1a3847c7f9cf8226cf682d6dbbdb0e82e5dc2e7', 1701728000000, 2),
('plum', 16, 'd2ef00809528f3e7627ca798392980b9f815a7ecc801823e7b50cc0e94ed3c12', 'c844c8f10ce0a47053b713c5e1a3847c7f9cf8226cf682d6dbbdb0e82e5dc2e7', '340ddc65057520115b0bedd5fdb3c53375ee48bee4ca33ccbd14f11a1cf16d7f', 1701728000000, 2),
('plum', 17, '95b8f44ef51ab03064d4ceea726bf7cef02baaa2fef2578c30d32ea025ffd6e0', '340ddc65057520115b0bedd5fdb3c53375ee48bee4ca33ccbd14f11a1cf16d7f', 'eb350e4e390964a09902bc5a30c6c804d42e0a21d3bf77b5c5319ac051759da9', 1701728000000, 2),
('plum', 18, 'fc96f8c6e7f6efbf0860c006cc5dc023934495d0e8587dad144fe73d1736d3a9', 'eb350e4e390964a09902bc5a30c6c804d42e0a21d3bf77b5c5319ac051759da9', 'd6238a429d6f8402281ecaaf5c3f22993fd1732224ad12072af589ad1c08454e', 1701728000000, 2),
('plum', 19, 'fd4e6b7c13e8537a7b48599a8b7f8611be7f038b98d104fca87afd4319656280', 'd6238a429d6f8402281ecaaf5c3f22993fd1732224ad12072af589ad1c08454e', '7e811cd4ffb112a91a208ca73b3234f6210d5ea4aad12f1d7aa83a6a556b11a0', 1701728000000, 2),
('plum', 20, '1c4a66767d82428f7899296464affa69af6bc3c08d77af6869438e502b12dc07', '7e811cd4ffb112a91a208ca73b3234f6210d5ea4aad12f1d7aa83a6a556b11a0', '985d5903a6708d7822e5625c550d6537c67adc9e18029cae47f79c24f3b7fba3', 1701728000000, 2),
('plum', 21, 'b2963c851b99b6a6e0b4fd42bb9d4b5a5cb02f2b551a8d79e974e7d70aa9c0ff', '985d5903a6708d7822e5625c550d6537c67adc9e18029cae47f79c24f3b7fba3', 'c8677903db039145e22a07d1848ebadb9d0c3fe0bede11528eca8806fde7c98b', 1701728000000, 2);
INSERT INTO settlement (estate_id, kind, period, from_at, to_at, through_seq, accounts, energy_wh, turnover, override, doubts, actor, world_at, created_ms, sums_sha256, previous_hash, hash) VALUES
('plum', 'day', '2026-10-31', 1793376000, 1793462400, 20, 9, 52863, '{"charge":3113}', 'a gap', '{"held": 0, "held_meters": [], "missing": 1, "missing_meters": ["202600000003"]}', 'zhou', 1793581500, 1701728000000, '1b2860be00c11d647c7b630579b3018a41b5369f4e58e8b0427cda6324466e97', '0000000000000000000000000000000000000000000000000000000000000000', '1095df4ee547e8a5f2b2d28679f4900c049e236257a6386c3d6e526de3c1d49f'),
('plum', 'month', '2026-10', 1790784000, 1793462400, 20, 9, 121863, '{"charge":7363,"opening":10300,"topup":11300}', 'a gap', '{"held": 0, "held_meters": [], "missing": 1, "missing_meters": ["202600000003"]}', 'zhou', 1793581500, 1701728000000, '85782424c5c8bfc4b88221dfa9a318559bbea531792cd161b6fd0d22751cd9f1', '0000000000000000000000000000000000000000000000000000000000000000', '132c940d271f7d675e6ed0d5475bac21337c9defc6c0541c2fa23781277bf170');
INSERT INTO settlement_sum (estate_id, kind, period, account_id, opening_fen, closing_fen, by_kind, lines, late_lines, late_fen, charge_nf, energy_wh, rate1_wh, rate2_wh, rate3_wh, rate4_wh) VALUES
('plum', 'day', '2026-10-31', 'H0001', 7720, 5208, '{"charge":-2512}', 1, 0, 0, 2512231861250, 42662, 0, 0, 0, 0),
('plum', 'day', '2026-10-31', 'H0002', 2270, 1669, '{"charge":-601}', 1, 0, 0, 600705011875, 10201, 0, 0, 0, 0),
('plum', 'day', '2026-10-31', 'H0003', 6660, 6660, '{}', 0, 0, 0, 0, 0, 0, 0, 0, 0),
('plum', 'day', '2026-10-31', 'cash', -4100, -4100, '{}', 0, 0, 0, 0, 0, 0, 0, 0, 0),
('plum', 'day', '2026-10-31', 'opening', -10300, -10300, '{}', 0, 0, 0, 0, 0, 0, 0, 0, 0),
('plum', 'day', '2026-10-31', 'provider:client:client-1', -1500, -1500, '{}', 0, 0, 0, 0, 0, 0, 0, 0, 0),
('plum', 'day', '2026-10-31', 'provider:sandbox', -5700, -5700, '{}', 0, 0, 0, 0, 0, 0, 0, 0, 0),
('plum', 'day', '2026-10-31', 'revenue', 4250, 7363, '{"charge":3113}', 2, 0, 0, 0, 0, 0, 0, 0, 0),
('plum', 'day', '2026-10-31', 'suspense', 700, 700, '{}', 0, 0, 0, 0, 0, 0, 0, 0, 0),
('plum', 'month', '2026-10', 'H0001', 0, 5208, '{"charge":-5692,"opening":5000,"topup":5900}', 11, 0, 0, 5692123111250, 96662, 0, 0, 0, 0),
('plum', 'month', '2026-10', 'H0002', 0, 1669, '{"charge":-1131,"opening":300,"topup":2500}', 11, 0, 0, 1130686886875, 19201, 0, 0, 0, 0),
('plum', 'month', '2026-10', 'H0003', 0, 6660, '{"charge":-540,"opening":5000,"topup":2200}', 10, 0, 0, 540000000000, 6000, 2400, 1800, 1200, 600),
('plum', 'month', '2026-10', 'cash', 0, -4100, '{"topup":-4100}', 7, 0, 0, 0, 0, 0, 0, 0, 0),
('plum', 'month', '2026-10', 'opening', 0, -10300, '{"opening":-10300}', 3, 0, 0, 0, 0, 0, 0, 0, 0),
('plum', 'month', '2026-10', 'provider:client:client-1', 0, -1500, '{"topup":-1500}', 1, 0, 0, 0, 0, 0, 0, 0, 0),
('plum', 'month', '2026-10', 'provider:sandbox', 0, -5700, '{"topup":-5700}', 2, 0, 0, 0, 0, 0, 0, 0, 0),
('plum', 'month', '2026-10', 'revenue', 0, 7363, '{"charge":7363}', 20, 0, 0, 0, 0, 0, 0, 0, 0),
('plum', 'month', '2026-10', 'suspense', 0, 700, '{"topup":700}', 1, 0, 0, 0, 0, 0, 0, 0, 0);
INSERT INTO supply (estate_id, meter_id, gen, desired, relay, relay_at, relay_ms, opened_at, command, cause, candidate, candidate_at) VALUES
('plum', '202600000001', 0, 'closed', 'unknown', NULL, NULL, NULL, 'none', 'none', '', NULL),
('plum', '202600000002', 1, 'closed', 'unknown', NULL, NULL, NULL, 'none', 'none', '', NULL),
('plum', '202600000003', 0, 'closed', 'unknown', NULL, NULL, NULL, 'none', 'none', '', NULL),
('plum', '202600000099', 0, 'closed', 'unknown', NULL, NULL, NULL, 'none', 'none', '', NULL);
INSERT INTO tariff (estate_id, tariff_id, name, definition, created_ms) VALUES
('plum', 'single', 'one price with two tiers a month', '{"id": "single", "name": "one price with two tiers a month", "time_zone": "Asia/Shanghai", "versions": [{"free_quota_wh": 0, "kind": "single", "levies_nf_per_wh": 0, "order_rule": "none", "periods": [], "quota_fills_tier": true, "rate_prices_nf_per_wh": [58886875, 58886875, 58886875, 58886875], "seasons": [{"months": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], "tier_limits_wh": [200000, 400000]}], "settlement_day": 1, "tier_period": "month", "tier_period_start": 1, "tier_steps_nf_per_wh": [5000000, 25000000], "valid_from_s": 1609430400}]}', 1700000000000),
('plum', 'tou', 'four rates', '{"id": "tou", "name": "four rates", "time_zone": "Asia/Shanghai", "versions": [{"free_quota_wh": 0, "kind": "tou", "levies_nf_per_wh": 0, "order_rule": "none", "periods": [{"from": "00:00", "rate": "valley", "to": "08:00"}, {"from": "08:00", "rate": "peak", "to": "22:00"}, {"from": "22:00", "rate": "valley", "to": "24:00"}], "quota_fills_tier": true, "rate_prices_nf_per_wh": [120000000, 90000000, 60000000, 30000000], "seasons": [{"months": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], "tier_limits_wh": []}], "settlement_day": 1, "tier_period": "none", "tier_period_start": 1, "tier_steps_nf_per_wh": [], "valid_from_s": 1609430400}]}', 1700000000000);
INSERT INTO room (estate_id, room_id, building_id, floor, door) VALUES
('plum', '1-0001', '1', 1, '0001'),
('plum', '1-0002', '1', 1, '0002'),
('plum', '1-0003', '1', 1, '0003');
