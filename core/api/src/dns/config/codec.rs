//! Bytes of settings that travel with a question: whoever answers it does so as the agent would that it
//! came to first.

use tribune_base::codec::{DecodeError, Reader, Writer};

use super::{Config, ServiceTtl, Soa};

impl Config {
    /// Write what answers look like as a message:
    ///
    /// ```text
    ///   1  the zone             6  whether to say that an answer was cut short     11  of a node's rows
    ///   2  its second name      7  whether warnings are left out                   12  of a name's
    ///   3  addresses at most    8  whether names are written in full               13  the start of authority
    ///   4  rows at most         9  whether metadata is added                       14  of a service's: name, time
    ///   5  whether it may be old                                                   15  the same, by prefix
    /// ```
    ///
    /// Numbers from eleven on are times in seconds. Whose catalog it is does not travel: it is that of
    /// whoever answers.
    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.str(1, &self.domain);
        if let Some(domain) = &self.alt_domain {
            writer.str(2, domain);
        }
        writer.u64(3, self.a_record_limit as u64);
        writer.u64(4, self.udp_answer_limit as u64);
        writer.bool(5, self.allow_stale);
        writer.bool(6, self.enable_truncate);
        writer.bool(7, self.only_passing);
        writer.bool(8, self.disable_compression);
        writer.bool(9, self.enable_additional_node_meta_txt);
        writer.u64(11, self.node_ttl.into());
        writer.u64(12, self.ptr_ttl.into());
        let Soa { refresh, retry, expire, min_ttl } = self.soa;
        writer.nested(13, |it| {
            for (tag, time) in (1..).zip([refresh, retry, expire, min_ttl]) {
                it.u64(tag, time.into());
            }
        });
        let mut ttl = |tag, (name, ttl): (&String, &u32)| {
            writer.nested(tag, |it| {
                it.str(1, name);
                it.u64(2, u64::from(*ttl));
            });
        };
        self.service_ttl.exact.iter().for_each(|it| ttl(14, it));
        self.service_ttl.prefixes.iter().for_each(|(name, time)| ttl(15, (name, time)));
    }

    /// Read what [`encode`](Self::encode) wrote, here or in another release. Whose catalog it is
    /// remains to be said: see [`answered_by`](Self::answered_by).
    ///
    /// # Errors
    ///
    /// Those are no settings.
    pub(crate) fn decode(mut reader: Reader) -> Result<Self, DecodeError> {
        let mut this = Self {
            domain: String::new(),
            allow_stale: false,
            udp_answer_limit: 0,
            enable_truncate: false,
            enable_additional_node_meta_txt: false,
            soa: Soa { refresh: 0, retry: 0, expire: 0, min_ttl: 0 },
            ..Self::new("")
        };
        while let Some(field) = reader.field()? {
            let limit = || Ok(usize::try_from(field.u64()?).unwrap_or(usize::MAX));
            match field.tag {
                1 => field.str()?.clone_into(&mut this.domain),
                2 => this.alt_domain = Some(field.str()?.to_owned()).filter(|it| !it.is_empty()),
                3 => this.a_record_limit = limit()?,
                4 => this.udp_answer_limit = limit()?,
                5 => this.allow_stale = field.bool()?,
                6 => this.enable_truncate = field.bool()?,
                7 => this.only_passing = field.bool()?,
                8 => this.disable_compression = field.bool()?,
                9 => this.enable_additional_node_meta_txt = field.bool()?,
                11 => this.node_ttl = field.u32()?,
                12 => this.ptr_ttl = field.u32()?,
                13 => this.soa = soa(field.nested()?)?,
                14 => this.service_ttl.exact.extend([ttl(field.nested()?)?]),
                15 => this.service_ttl.prefixes.push(ttl(field.nested()?)?),
                _ => {}
            }
        }
        ServiceTtl::sort(&mut this.service_ttl.prefixes);
        Ok(this)
    }
}

fn soa(mut reader: Reader) -> Result<Soa, DecodeError> {
    let mut times = [0; 4];
    while let Some(field) = reader.field()? {
        let at = (field.tag as usize).wrapping_sub(1);
        if let Some(time) = times.get_mut(at) {
            *time = field.u32()?;
        }
    }
    let [refresh, retry, expire, min_ttl] = times;
    Ok(Soa { refresh, retry, expire, min_ttl })
}

fn ttl(mut reader: Reader) -> Result<(String, u32), DecodeError> {
    let (mut name, mut ttl) = (String::new(), 0);
    while let Some(field) = reader.field()? {
        match field.tag {
            1 => field.str()?.clone_into(&mut name),
            2 => ttl = field.u32()?,
            _ => {}
        }
    }
    Ok((name, ttl))
}

#[test]
fn bytes_are_the_settings() {
    let all = Config {
        alt_domain: Some("example".to_owned()),
        allow_stale: false,
        a_record_limit: 7,
        udp_answer_limit: 0,
        enable_truncate: false,
        only_passing: true,
        disable_compression: true,
        enable_additional_node_meta_txt: false,
        node_ttl: 5,
        ptr_ttl: 6,
        service_ttl: ServiceTtl::new([("*", 1), ("db*", 2), ("db-main", 3), ("", 4)]),
        soa: Soa { refresh: 1, retry: 0, expire: 3, min_ttl: 4 },
        ..Config::new("")
    };
    for config in [Config::new(""), all] {
        let mut writer = Writer::new();
        config.encode(&mut writer);
        assert_eq!(Config::decode(Reader::new(writer.finish())), Ok(config));
    }
}

/// Found by the fuzz target `rpc_frame`.
#[test]
fn a_second_zone_without_a_name_is_none() {
    let mut writer = Writer::new();
    writer.present_bytes(2, b"");
    let config = Config::decode(Reader::new(writer.finish())).unwrap();
    assert_eq!(config.alt_domain, None);
}
